package chaos_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/chaos"
)

func TestASoundHistoryHasNoViolation(t *testing.T) {
	t.Parallel()
	b := sound(t)
	owner := "somebody else"
	b.agent(domain.AgentUpdated{AgentID: b.lender, Owner: &owner})
	b.agent(domain.AgentSuspended{AgentID: b.lender, Reason: "for a while"})
	b.delegations(b.exchanged()) // by who looked at the lender before that
	b.agent(domain.AgentReactivated{AgentID: b.lender})
	b.agent(domain.CredentialRotated{AgentID: b.lender, CredentialID: b.credential, Verifier: b.verifier()})
	b.agent(b.issued())
	b.organizations(domain.OrganizationSuspended{OrganizationID: b.organization})
	b.agent(b.issued()) // likewise, at the organization
	b.organizations(domain.OrganizationReactivated{OrganizationID: b.organization})
	b.delegations(domain.DelegationRevoked{DelegationID: b.delegation, DelegatorID: b.lender, RevokedBy: b.lender})
	b.agent(domain.CredentialRevoked{AgentID: b.lender, CredentialID: b.credential, Reason: "agent decommissioned"})
	b.agent(domain.AgentDecommissioned{AgentID: b.lender})
	b.seats(domain.SeatReleased{OrganizationID: b.organization, AgentID: b.lender})
	third := domain.AgentID{UUID: uuid.New()}
	b.register(third, "third@acme.example")
	if _, violations := b.replay(); len(violations) > 0 {
		t.Errorf("found:\n%s", chaos.Shortest(violations))
	}
}

// Each promise has a history that breaks it, and is found broken.
func TestBrokenHistoriesAreFound(t *testing.T) {
	t.Parallel()
	newAgent := func() domain.AgentID { return domain.AgentID{UUID: uuid.New()} }
	for name, broken := range map[string]struct {
		rule   chaos.Rule
		breach func(b *book)
	}{
		"a token after its credential was rotated away": {chaos.RuleAllowed, func(b *book) {
			b.agent(domain.CredentialRevoked{AgentID: b.lender, CredentialID: b.credential})
			b.agent(b.issued())
		}},
		"a token of a credential that never was": {chaos.RuleAllowed, func(b *book) {
			b.credential.UUID = uuid.New()
			b.agent(b.issued())
		}},
		"a token of a suspended agent": {chaos.RuleAllowed, func(b *book) {
			b.agent(domain.AgentSuspended{AgentID: b.lender})
			b.agent(b.issued())
		}},
		"a token with a scope that the agent is not allowed": {chaos.RuleAllowed, func(b *book) {
			e := b.issued()
			e.Scope = "agents:write"
			b.agent(e)
		}},
		"a token of an organization suspended long before": {chaos.RuleOrganization, func(b *book) {
			b.organizations(domain.OrganizationSuspended{OrganizationID: b.organization})
			b.later()
			b.agent(b.issued())
		}},
		"a change of a decommissioned agent": {chaos.RuleAllowed, func(b *book) {
			b.agent(domain.CredentialRevoked{AgentID: b.lender, CredentialID: b.credential})
			b.agent(domain.AgentDecommissioned{AgentID: b.lender})
			b.agent(domain.AgentReactivated{AgentID: b.lender})
		}},
		"a decommissioning that leaves a credential": {chaos.RuleAllowed, func(b *book) {
			b.agent(domain.AgentDecommissioned{AgentID: b.lender})
		}},
		"the same change twice": {chaos.RuleAllowed, func(b *book) {
			b.agent(domain.AgentSuspended{AgentID: b.lender})
			b.agent(domain.AgentSuspended{AgentID: b.lender})
		}},
		"a credential revoked twice": {chaos.RuleAllowed, func(b *book) {
			b.agent(domain.CredentialRevoked{AgentID: b.lender, CredentialID: b.credential})
			b.agent(domain.CredentialRevoked{AgentID: b.lender, CredentialID: b.credential})
		}},
		"a jti twice": {chaos.RuleUnique, func(b *book) {
			e := b.issued()
			b.agent(e)
			b.agent(e)
		}},
		"an e-mail address twice": {chaos.RuleUnique, func(b *book) {
			b.agent(domain.CredentialRevoked{AgentID: b.lender, CredentialID: b.credential})
			b.agent(domain.AgentDecommissioned{AgentID: b.lender})
			b.seats(domain.SeatReleased{OrganizationID: b.organization, AgentID: b.lender})
			second := newAgent()
			b.seat(second)
			b.create(second, "lender@acme.example")
		}},
		"an agent whose address another has claimed": {chaos.RuleClaimed, func(b *book) {
			b.claim(newAgent(), "new@acme.example")
			b.create(newAgent(), "new@acme.example")
		}},
		"a claim taken from somebody who may come to life": {chaos.RuleClaimed, func(b *book) {
			first, second := newAgent(), newAgent()
			b.claim(first, "new@acme.example")
			b.write(domain.ClaimStream(domain.ClaimEmail, "new@acme.example"), domain.ClaimTakenOver{
				Kind: domain.ClaimEmail, Owner: second.UUID, OrganizationID: b.organization, From: first.UUID,
			})
		}},
		"a seat beyond the cap": {chaos.RuleSeated, func(b *book) { b.seat(newAgent()) }},
		"a seat taken twice":    {chaos.RuleSeated, func(b *book) { b.seat(b.lender) }},
		"a seat taken from an agent that lives": {chaos.RuleSeated, func(b *book) {
			b.seats(domain.SeatReleased{OrganizationID: b.organization, AgentID: b.lender})
		}},
		"an organization deleted while its seats are open": {chaos.RuleSeated, func(b *book) {
			b.organizations(domain.OrganizationDeleted{OrganizationID: b.organization})
		}},
		"a slug twice": {chaos.RuleUnique, func(b *book) {
			b.organization.UUID = uuid.New()
			b.organizations(domain.OrganizationCreated{OrganizationID: b.organization, Name: "Acme", Slug: "acme", PlanTier: domain.TierFree})
		}},
		"an organization suspended twice": {chaos.RuleAllowed, func(b *book) {
			b.organizations(domain.OrganizationSuspended{OrganizationID: b.organization})
			b.organizations(domain.OrganizationSuspended{OrganizationID: b.organization})
		}},
		"a member of another organization": {chaos.RuleOrganization, func(b *book) {
			b.organizations(domain.MemberAdded{OrganizationID: b.organization, AgentID: newAgent(), Role: domain.RoleAdmin})
		}},
		"scopes lent that the lender has not": {chaos.RuleDelegation, func(b *book) {
			b.delegation.UUID = uuid.New()
			e := b.lent()
			e.Scopes = domain.NewScopes("agents:write")
			b.delegations(e)
		}},
		"a delegation to somebody suspended long before": {chaos.RuleDelegation, func(b *book) {
			b.write(domain.AgentStream(b.borrower), domain.AgentSuspended{AgentID: b.borrower})
			b.later()
			b.delegation.UUID = uuid.New()
			b.delegations(b.lent())
		}},
		"a link below one that allows none": {chaos.RuleDelegation, func(b *book) {
			parent := b.delegation
			b.delegation.UUID = uuid.New()
			e := b.lent()
			e.ParentID, e.Depth, e.TTLSeconds, e.ExpiresAt = &parent, 1, 60, b.at.Add(time.Minute)
			e.DelegatorID, e.DelegateeID = b.borrower, b.lender
			b.delegations(e)
		}},
		"an exchange of a revoked delegation": {chaos.RuleDelegation, func(b *book) {
			b.delegations(domain.DelegationRevoked{DelegationID: b.delegation, DelegatorID: b.lender, RevokedBy: b.lender})
			b.delegations(b.exchanged())
		}},
		"an exchange that outlives the delegation": {chaos.RuleDelegation, func(b *book) {
			e := b.exchanged()
			e.ExpiresAt = e.ExpiresAt.Add(80_000 * time.Second)
			b.delegations(e)
		}},
		"an exchange by somebody else": {chaos.RuleDelegation, func(b *book) {
			e := b.exchanged()
			e.AgentID = b.lender
			b.delegations(e)
		}},
		"an event on another's stream": {chaos.RuleStream, func(b *book) {
			b.write(domain.AgentStream(newAgent()), domain.AgentSuspended{AgentID: b.lender})
		}},
		"an event of a type that nobody knows": {chaos.RuleDecoded, func(b *book) {
			last := b.events[len(b.events)-1]
			d := eventstore.Draft{
				ID: uuid.New(), Type: "agent.promoted", Schema: 1, Actor: eventstore.Actor{Kind: "system"}, Time: b.at, Data: []byte("{}"),
			}
			e, err := eventstore.SealEvent(d, "agent-x", 0, eventstore.Hash{})
			if err != nil {
				b.tb.Fatal(err)
			}
			e.Position = last.Position + 1
			b.events = append(b.events, e)
		}},
		"an event cut out": {chaos.RuleChain, func(b *book) { b.events = slices.Delete(b.events, 6, 7) }},
		"a record altered": {chaos.RuleChain, func(b *book) {
			e := &b.events[3]
			e.Record = append(slices.Clone(e.Record[:len(e.Record)-1]), ' ', '}')
		}},
		"an agent without a seat in the end": {chaos.RuleSeated, func(b *book) {
			e := newAgent()
			b.claim(e, "new@acme.example")
			b.create(e, "new@acme.example")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := sound(t)
			broken.breach(b)
			_, violations := b.replay()
			if !slices.ContainsFunc(violations, func(v chaos.Violation) bool { return v.Rule == broken.rule }) {
				t.Errorf("want a violation of %q, found:\n%s", broken.rule, chaos.Shortest(violations))
			}
		})
	}
}

func TestASecondTreeOfOneSizeIsFound(t *testing.T) {
	t.Parallel()
	b := sound(t)
	h, _ := b.replay()
	if n := len(h.Logs()); n != 2 {
		t.Fatalf("%d logs, want that of the whole ledger and of one organization", n)
	}
	good := func(seen string, size int64) chaos.Checkpoint { return checkpointOf(b, seen, size) }
	if v := h.CheckCheckpoints([]chaos.Checkpoint{good("a", 3), good("b", 3), good("a", int64(len(b.events)))}); len(v) > 0 {
		t.Errorf("found in what is as it should be:\n%s", chaos.Shortest(v))
	}
	forged := good("b", 3)
	forged.Root[0] ^= 1
	for name, signed := range map[string][]chaos.Checkpoint{
		"two trees of one size": {good("a", 3), forged},
		"not the ledger's tree": {forged},
		"more than the ledger":  {good("a", int64(len(b.events))+1)},
		"of a log there is not": {{Log: uuid.New(), Checkpoint: good("a", 3).Checkpoint}},
	} {
		if v := h.CheckCheckpoints(signed); len(v) != 1 || v[0].Rule != chaos.RuleTree {
			t.Errorf("%s: found %v", name, v)
		}
	}
}
