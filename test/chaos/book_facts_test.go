package chaos_test

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

// What a book is filled with: facts, and what comes of several.

// found makes an organization with two seats.
func (b *book) found() {
	seats := 2
	b.write(domain.ClaimStream(domain.ClaimSlug, "acme"),
		domain.ClaimMade{Kind: domain.ClaimSlug, Owner: b.organization.UUID, OrganizationID: b.organization})
	b.organizations(domain.OrganizationCreated{
		OrganizationID: b.organization, Name: "Acme", Slug: "acme", PlanTier: domain.TierEnterprise, MaxAgents: &seats,
	})
}

func (b *book) claim(id domain.AgentID, email string) {
	b.write(domain.EmailClaimStream(b.organization, email),
		domain.ClaimMade{Kind: domain.ClaimEmail, Owner: id.UUID, OrganizationID: b.organization})
}

func (b *book) seat(id domain.AgentID) {
	b.seats(domain.SeatTaken{OrganizationID: b.organization, AgentID: id})
}

func (b *book) create(id domain.AgentID, email string) {
	b.write(domain.AgentStream(id), domain.AgentCreated{
		AgentID: id, OrganizationID: b.organization, Email: email, DID: "did:web:test", Scopes: domain.NewScopes("agents:read", "audit:read"),
		Profile: domain.Profile{
			AgentType: "screener", Version: "1.0.0", Capabilities: []string{}, Owner: "tests", DeploymentEnv: "development",
			Metadata: []byte("{}"),
		},
	})
}

func (b *book) register(id domain.AgentID, email string) {
	b.claim(id, email)
	b.seat(id)
	b.create(id, email)
}

func (b *book) verifier() *domain.Verifier {
	return &domain.Verifier{KeyID: "k1", MAC: fmt.Append(nil, "mac ", len(b.events))}
}

func (b *book) issued() domain.TokenIssued {
	return domain.TokenIssued{
		AgentID: b.lender, TokenID: domain.TokenID{UUID: uuid.New()}, CredentialID: b.credential, AuthMethod: domain.SecretCredential,
		Scope: "agents:read", Audience: "https://test", Algorithm: "ES256", KeyID: "k1",
		ExpiresAt: b.at.Truncate(time.Second).Add(domain.TokenLifetime),
	}
}

func (b *book) exchanged() domain.TokenIssued {
	e := b.issued()
	e.AgentID, e.AuthMethod, e.Delegation, e.Subject = b.borrower, domain.ActorToken, &b.delegation, &b.lender
	return e
}

func (b *book) lent() domain.DelegationCreated {
	return domain.DelegationCreated{
		DelegationID: b.delegation, OrganizationID: b.organization, DelegatorID: b.lender, DelegateeID: b.borrower,
		Scopes: domain.NewScopes("agents:read"), TTLSeconds: 80_000, ExpiresAt: b.at.Add(80_000 * time.Second), MaxDepth: 1,
	}
}

// lentOn is a link below the delegation.
func (b *book) lentOn() domain.DelegationCreated {
	e := b.lent()
	e.DelegationID, e.ParentID, e.DelegatorID, e.DelegateeID = b.below, &b.delegation, b.borrower, b.lender
	e.Depth, e.MaxDepth, e.TTLSeconds, e.ExpiresAt = 1, 0, 3600, b.at.Add(time.Hour)
	return e
}

// another is the link below once more, as a new one.
func (b *book) another(change func(*domain.DelegationCreated)) {
	b.below.UUID = uuid.New()
	e := b.lentOn()
	change(&e)
	b.belows(e)
}

func (b *book) belows(fact domain.Event) {
	if e, made := fact.(domain.DelegationCreated); made {
		b.belowEnds = e.ExpiresAt
	}
	b.write(domain.DelegationStream(b.below), fact)
}

// exchangedBelow is by who was lent it last, for who lent it first.
func (b *book) exchangedBelow() domain.TokenIssued {
	e := b.exchanged()
	e.AgentID, e.Delegation = b.lender, &b.below
	if end := b.belowEnds.Truncate(time.Second); end.Before(e.ExpiresAt) {
		e.ExpiresAt = end
	}
	return e
}

// leave ends an agent as it should be.
func (b *book) leave(id domain.AgentID, credentials ...domain.CredentialID) {
	for _, credential := range credentials {
		b.write(domain.AgentStream(id), domain.CredentialRevoked{AgentID: id, CredentialID: credential, Reason: "agent decommissioned"})
	}
	b.write(domain.AgentStream(id), domain.AgentDecommissioned{AgentID: id})
	b.seats(domain.SeatReleased{OrganizationID: b.organization, AgentID: id})
}

// dissolve deletes the organization as it should be.
func (b *book) dissolve() {
	b.leave(b.lender, b.credential)
	b.leave(b.borrower)
	b.seats(domain.SeatsClosed{OrganizationID: b.organization})
	b.organizations(domain.OrganizationDeleted{OrganizationID: b.organization})
}

func (b *book) rescoped(reduced bool, scopes ...domain.Scope) domain.AgentUpdated {
	set := domain.NewScopes(scopes...)
	return domain.AgentUpdated{AgentID: b.lender, Scopes: &set, ScopesReduced: reduced}
}

func (b *book) tierChanged(from, to domain.Tier) domain.TierChanged {
	return domain.TierChanged{OrganizationID: b.organization, From: from, To: to, Reason: "test"}
}

func (b *book) joined(id domain.AgentID) domain.MemberAdded {
	return domain.MemberAdded{OrganizationID: b.organization, AgentID: id, Role: domain.RoleAdmin}
}
