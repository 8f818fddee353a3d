package esdb_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
)

// tenant is an organization, its agents and what they lend each other. Commands
// go through either node of ours.
type tenant struct {
	truth    *truth
	operator domain.Caller
	id       domain.OrganizationID
	agents   []*member

	mu   sync.Mutex // guards lent
	lent []loan
}

type member struct {
	id         domain.AgentID
	mu         sync.Mutex // guards credential
	credential domain.CredentialID
}

// loan is a delegation and what it rests on.
type loan struct {
	id       domain.DelegationID
	from, to *member
	by       domain.CredentialID
}

func (m *member) with() domain.CredentialID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.credential
}

// authenticate asks whether an agent gets in with a credential now.
func (m *member) authenticate(ctx context.Context, node *life, credential domain.CredentialID) error {
	_, err := node.ledger.AuthenticateNow(ctx, m.id, domain.Proof{Secret: []domain.Verifier{verifierOf(credential)}}, time.Now())
	return err
}

func verifierOf(c domain.CredentialID) domain.Verifier {
	return domain.Verifier{KeyID: "k", MAC: []byte(c.String())}
}

func newTenant(ctx context.Context, l *ledger.Ledger, tr *truth, slug string, agents int) (*tenant, error) {
	scopes := domain.NewScopes(domain.ScopeAgentsRead, domain.ScopeAuditRead)
	t := &tenant{truth: tr, operator: domain.Caller{OrganizationID: domain.OrganizationID{UUID: uuid.New()}, Scopes: domain.AllScopes()}}
	created, err := l.CreateOrganization(ctx, ledger.System(), domain.CreateOrganization{
		Caller: t.operator, OrganizationID: domain.OrganizationID{UUID: ledger.NewID()}, Name: "Acme", Slug: slug, PlanTier: domain.TierEnterprise,
	})
	if err != nil {
		return nil, err
	}
	tr.done(nil, created.EventIDs, created.Positions)
	t.id = created.State.ID
	for n := range agents {
		registered, err := l.RegisterAgent(ctx, ledger.System(), domain.RegisterAgent{
			Caller: t.operator, AgentID: domain.AgentID{UUID: ledger.NewID()}, OrganizationID: t.id, Email: fmt.Sprintf("agent-%d@%s.example", n, slug),
			Profile: domain.Profile{AgentType: domain.AgentCustom, Version: "1.0.0", Owner: "rounds", DeploymentEnv: domain.EnvDevelopment},
			Scopes:  scopes,
		})
		if err != nil {
			return nil, err
		}
		tr.done(nil, registered.EventIDs, registered.Positions)
		m := &member{id: registered.State.ID}
		if err := t.open(ctx, l, m); err != nil {
			return nil, err
		}
		t.agents = append(t.agents, m)
	}
	return t, nil
}

// open gives an agent a credential in place of the one it had.
func (t *tenant) open(ctx context.Context, l *ledger.Ledger, m *member) error {
	id := domain.CredentialID{UUID: ledger.NewID()}
	verifier := verifierOf(id)
	outcome, err := l.GenerateCredential(ctx, ledger.System(), m.id, domain.GenerateCredential{
		Caller: t.operator, CredentialID: id, Verifier: &verifier, At: time.Now(),
	})
	if err != nil {
		return err
	}
	t.truth.done(nil, outcome.EventIDs, outcome.Positions)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.credential = id
	return nil
}

// command does one thing, drawn at random, and reports what it was. Refusals and
// stores that cannot be reached are part of life.
func (t *tenant) command(ctx context.Context, rng *rand.Rand, node *life) (what string, err error) {
	m := t.agents[rng.IntN(len(t.agents))]
	switch n := rng.IntN(22); {
	case n < 7:
		return "token issued", t.issue(ctx, node, m)
	case n < 9:
		return "token revoked", t.revokeToken(ctx, node, t.truth.some(rng))
	case n < 11:
		return t.suspend(ctx, node, m)
	case n < 13:
		return credentialRevoked, t.revokeCredential(ctx, node, m)
	case n < 15:
		return t.suspendOrganization(ctx, node)
	case n < 17:
		return "delegation made", t.lend(ctx, node, m, t.agents[rng.IntN(len(t.agents))])
	case n < 19:
		return "delegated token issued", t.exchange(ctx, node, rng)
	case n < 20:
		return "delegation revoked", t.revokeDelegation(ctx, node, rng)
	case n < 21:
		return "agent's access revoked", t.revokeAgent(ctx, node, m, rng.IntN(2) > 0)
	default:
		return "organization's access revoked", t.revokeOrganization(ctx, node, rng.IntN(2) > 0)
	}
}

func (t *tenant) issue(ctx context.Context, node *life, m *member) error {
	credential := m.with()
	client, err := node.ledger.Authenticate(ctx, m.id, domain.Proof{Secret: []domain.Verifier{verifierOf(credential)}}, time.Now())
	if err != nil {
		return err
	}
	offer, err := node.ledger.OfferToken(ctx, client, domain.IssueToken{
		TokenID: domain.TokenID{UUID: ledger.NewID()}, Audience: "rounds", Algorithm: "ES256", KeyID: "k", At: time.Now(),
	})
	if err != nil {
		return err
	}
	issued, err := node.ledger.IssueToken(ctx, ledger.System(), offer)
	if err != nil {
		return err
	}
	token := &held{rests: []uuid.UUID{issued.Token.TokenID.UUID, m.id.UUID, t.id.UUID, credential.UUID}}
	token.TokenID, token.AgentID, token.CredentialID, token.OrganizationID = issued.Token.TokenID, m.id, credential, t.id
	token.ExpiresAt, token.Position, token.Basis = issued.Token.ExpiresAt, issued.Position, issued.Basis
	t.truth.done(nil, []uuid.UUID{issued.EventID}, []ledger.Position{issued.Position})
	t.truth.hold(token)
	return nil
}

func (t *tenant) revokeToken(ctx context.Context, node *life, token *held) error {
	if token == nil {
		return nil
	}
	a := t.truth.begin("token revoked", true, token.TokenID.UUID)
	err := node.ledger.RevokeToken(ctx, ledger.System(), token.AgentID, domain.RevokeToken{TokenID: token.TokenID, ExpiresAt: token.ExpiresAt})
	if err == nil {
		t.truth.done(a, nil, []ledger.Position{whole})
	}
	return err
}

func (t *tenant) suspend(ctx context.Context, node *life, m *member) (what string, err error) {
	agent, err := node.ledger.Agent(ctx, m.id)
	if err != nil {
		return "agent looked at", err
	}
	status, what := domain.AgentIsSuspended, "agent suspended"
	if agent.Status == domain.AgentIsSuspended {
		status, what = domain.AgentActive, "agent reactivated"
	}
	a := t.truth.begin(what, status == domain.AgentIsSuspended, m.id.UUID)
	outcome, err := node.ledger.UpdateAgent(ctx, ledger.System(), m.id, domain.UpdateAgent{Caller: t.operator, Status: &status, Reason: "a round"})
	if err == nil {
		t.truth.done(a, outcome.EventIDs, outcome.Positions)
	}
	return what, err
}

func (t *tenant) suspendOrganization(ctx context.Context, node *life) (what string, err error) {
	organization, err := node.ledger.Organization(ctx, t.id)
	if err != nil {
		return "organization looked at", err
	}
	status, what := domain.OrganizationIsSuspended, "organization suspended"
	if organization.Status == domain.OrganizationIsSuspended {
		status, what = domain.OrganizationActive, "organization reactivated"
	}
	a := t.truth.begin(what, status == domain.OrganizationIsSuspended, t.id.UUID)
	outcome, err := node.ledger.UpdateOrganization(ctx, ledger.System(), t.id, domain.UpdateOrganization{Caller: t.operator, Status: &status, Reason: "a round"})
	if err == nil {
		t.truth.done(a, outcome.EventIDs, outcome.Positions)
	}
	return what, err
}

func (t *tenant) revokeCredential(ctx context.Context, node *life, m *member) error {
	credential := m.with()
	a := t.truth.begin(credentialRevoked, true, credential.UUID)
	outcome, err := node.ledger.RevokeCredential(ctx, ledger.System(), m.id, domain.RevokeCredential{Caller: t.operator, CredentialID: credential})
	if err == nil {
		t.truth.done(a, outcome.EventIDs, outcome.Positions)
	}
	if opened := t.open(ctx, node.ledger, m); err == nil {
		err = opened
	}
	return err
}

func (t *tenant) lend(ctx context.Context, node *life, from, to *member) error {
	caller := domain.Caller{
		AgentID: from.id, OrganizationID: t.id, CredentialID: from.with(), Scopes: domain.NewScopes(domain.ScopeAgentsRead, domain.ScopeAuditRead),
	}
	id := domain.DelegationID{UUID: ledger.NewID()}
	outcome, err := node.ledger.CreateDelegation(ctx, ledger.System(), domain.CreateDelegation{
		Caller: caller, DelegationID: id, DelegateeID: to.id, Scopes: caller.Scopes, TTLSeconds: domain.MaxDelegationTTL, At: time.Now(),
	}, func(ctx context.Context) (bool, error) {
		err := from.authenticate(ctx, node, caller.CredentialID)
		if _, ended := errors.AsType[*domain.AuthError](err); ended {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	t.truth.done(nil, outcome.EventIDs, outcome.Positions)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lent = append(t.lent, loan{id: id, from: from, to: to, by: caller.CredentialID})
	return nil
}

func (t *tenant) someLoan(rng *rand.Rand) (l loan, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lent) == 0 {
		return l, false
	}
	return t.lent[rng.IntN(len(t.lent))], true
}

// exchange asks whether the delegation can be used, and then has a token issued
// under it, as the token endpoint does.
func (t *tenant) exchange(ctx context.Context, node *life, rng *rand.Rand) error {
	l, found := t.someLoan(rng)
	if !found {
		return nil
	}
	known, err := node.revocations.Sync(ctx)
	if err != nil {
		return err
	}
	basis, actor := known.Position(), l.to.with()
	if verdict := known.CheckDelegation(l.id, basis); verdict != "" {
		return domain.RefuseExchange()
	}
	if err := l.to.authenticate(ctx, node, actor); err != nil {
		return err
	}
	offer, err := node.ledger.OfferExchange(ctx, known, l.id, domain.ExchangeDelegation{
		Actor: domain.Caller{AgentID: l.to.id, OrganizationID: t.id}, CredentialID: actor, TokenID: domain.TokenID{UUID: ledger.NewID()},
		Audience: "rounds", Algorithm: "ES256", KeyID: "k", At: time.Now(),
	})
	if err != nil {
		return err
	}
	exchanged, err := node.ledger.ExchangeDelegation(ctx, ledger.System(), offer)
	if err != nil {
		return err
	}
	token := &held{rests: []uuid.UUID{
		exchanged.Issued.TokenID.UUID, l.id.UUID, l.from.id.UUID, l.to.id.UUID, t.id.UUID, l.by.UUID, actor.UUID,
	}}
	token.TokenID, token.AgentID, token.CredentialID, token.OrganizationID = exchanged.Issued.TokenID, l.to.id, actor, t.id
	token.ExpiresAt, token.Position, token.Basis, token.Delegation = exchanged.Issued.ExpiresAt, exchanged.Position, basis, l.id
	t.truth.done(nil, []uuid.UUID{exchanged.EventID}, []ledger.Position{exchanged.Position})
	t.truth.hold(token)
	return nil
}

func (t *tenant) revokeDelegation(ctx context.Context, node *life, rng *rand.Rand) error {
	l, found := t.someLoan(rng)
	if !found {
		return nil
	}
	a := t.truth.begin("delegation revoked", true, l.id.UUID)
	outcome, err := node.ledger.RevokeDelegation(ctx, ledger.System(), l.id, domain.RevokeDelegation{Caller: t.operator, Reason: "a round"})
	if err == nil {
		t.truth.done(a, outcome.EventIDs, outcome.Positions)
	}
	return err
}
