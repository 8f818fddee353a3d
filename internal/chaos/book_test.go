package chaos_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/chaos"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// book is a ledger that is written by hand, whether or not it may be so.
type book struct {
	tb        testing.TB
	at        time.Time
	events    []eventstore.Event
	revisions map[string]int64
	hashes    map[string]eventstore.Hash

	organization domain.OrganizationID // what the events are about, unless they say otherwise
	lender       domain.AgentID        // has a credential, lends to the borrower
	borrower     domain.AgentID
	credential   domain.CredentialID
	delegation   domain.DelegationID // may be lent on once
	below        domain.DelegationID // the borrower lends it on, back to the lender
	belowEnds    time.Time
}

func newBook(tb testing.TB) *book {
	return &book{
		tb: tb, at: time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC),
		revisions: map[string]int64{}, hashes: map[string]eventstore.Hash{},
		organization: domain.OrganizationID{UUID: uuid.New()}, lender: domain.AgentID{UUID: uuid.New()}, borrower: domain.AgentID{UUID: uuid.New()},
		credential: domain.CredentialID{UUID: uuid.New()}, delegation: domain.DelegationID{UUID: uuid.New()}, below: domain.DelegationID{UUID: uuid.New()},
	}
}

// later lets so much time pass that nobody can have looked at what was before.
func (b *book) later() { b.at = b.at.Add(time.Minute) }

func (b *book) write(stream string, fact domain.Event) {
	b.writeAs("", stream, fact)
}

// writeAs writes an event that a request has led to.
func (b *book) writeAs(request, stream string, fact domain.Event) {
	b.tb.Helper()
	eventType, schema, data, err := domain.Encode(fact)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.at = b.at.Add(time.Millisecond)
	revision, known := b.revisions[stream]
	if known {
		revision++
	}
	sealed, err := eventstore.SealEvent(eventstore.Draft{
		ID: uuid.New(), Type: string(eventType), Schema: schema, Organization: b.organization.UUID,
		Actor: eventstore.Actor{Kind: "system", ID: "test"}, Time: b.at, Data: data, Request: eventstore.Request{ID: request},
	}, stream, revision, b.hashes[stream])
	if err != nil {
		b.tb.Fatal(err)
	}
	sealed.Position = eventstore.Position(len(b.events) + 1)
	b.revisions[stream], b.hashes[stream] = revision, sealed.Hash
	b.events = append(b.events, sealed)
}

func (b *book) agent(fact domain.Event) { b.write(domain.AgentStream(b.lender), fact) }

func (b *book) organizations(fact domain.Event) {
	b.write(domain.OrganizationStream(b.organization), fact)
}

func (b *book) seats(fact domain.Event) { b.write(domain.SeatsStream(b.organization), fact) }

func (b *book) delegations(fact domain.Event) {
	b.write(domain.DelegationStream(b.delegation), fact)
}

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
	b.write(domain.ClaimStream(domain.ClaimEmail, email),
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

// sound is a history that is as it should be.
func sound(tb testing.TB) *book {
	b := newBook(tb)
	b.found()
	b.register(b.lender, "lender@acme.example")
	b.register(b.borrower, "borrower@acme.example")
	b.agent(domain.CredentialGenerated{AgentID: b.lender, CredentialID: b.credential, Kind: domain.SecretCredential, Verifier: b.verifier()})
	b.agent(b.issued())
	b.delegations(b.lent())
	b.delegations(b.exchanged())
	b.belows(b.lentOn())
	b.belows(b.exchangedBelow())
	return b
}

func (b *book) replay() (*chaos.History, []chaos.Violation) {
	h := chaos.NewHistory(true)
	for _, e := range b.events {
		h.Take(e)
	}
	return h, h.End()
}

// checkpointOf is one of the whole ledger, as a signer would make it.
func checkpointOf(b *book, seen string, size int64) chaos.Checkpoint {
	tree := &transparency.Tree{}
	for _, e := range b.events {
		if tree.Size() < size {
			tree.Append(e.Hash)
		}
	}
	return chaos.Checkpoint{
		Checkpoint: transparency.Checkpoint{Origin: "test/ledger", Size: size, Root: tree.Root()}, Log: transparency.Whole, Seen: seen,
	}
}
