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
	b.agent(b.rescoped(true, "agents:read"))
	b.agent(b.rescoped(false, "agents:read", "audit:read"))
	b.organizations(b.joined(b.lender))
	b.organizations(b.tierChanged(domain.TierEnterprise, domain.TierFree))
	b.write(domain.AgentStream(b.borrower), domain.AgentSuspended{AgentID: b.borrower})
	b.belows(b.exchangedBelow()) // likewise, at who lent it on
	b.write(domain.AgentStream(b.borrower), domain.AgentReactivated{AgentID: b.borrower})
	b.delegations(domain.DelegationRevoked{DelegationID: b.delegation, DelegatorID: b.lender, RevokedBy: b.lender})
	b.belows(b.exchangedBelow()) // likewise, at the link above
	b.leave(b.lender, b.credential)
	third := domain.AgentID{UUID: uuid.New()}
	b.register(third, "third@acme.example")
	b.leave(b.borrower)
	b.leave(third)
	b.seats(domain.SeatsClosed{OrganizationID: b.organization})
	b.organizations(domain.OrganizationDeleted{OrganizationID: b.organization})
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
			parent := b.below
			b.another(func(e *domain.DelegationCreated) {
				e.ParentID, e.Depth, e.DelegatorID, e.DelegateeID = &parent, 2, b.lender, b.borrower
			})
		}},
		"a link that allows as many as the one above": {chaos.RuleDelegation, func(b *book) {
			b.another(func(e *domain.DelegationCreated) { e.MaxDepth = 1 })
		}},
		"a link that is wider than the one above": {chaos.RuleDelegation, func(b *book) {
			b.another(func(e *domain.DelegationCreated) { e.Scopes = domain.NewScopes("agents:read", "audit:read") })
		}},
		"a link that outlives the one above": {chaos.RuleDelegation, func(b *book) {
			b.another(func(e *domain.DelegationCreated) { e.TTLSeconds, e.ExpiresAt = 86_400, b.at.Add(86_400*time.Second) })
		}},
		"a link by who was not lent the one above": {chaos.RuleDelegation, func(b *book) {
			b.another(func(e *domain.DelegationCreated) { e.DelegatorID, e.DelegateeID = b.lender, b.borrower })
		}},
		"a link below one that was revoked long before": {chaos.RuleDelegation, func(b *book) {
			b.delegations(domain.DelegationRevoked{DelegationID: b.delegation, DelegatorID: b.lender, RevokedBy: b.lender})
			b.later()
			b.another(func(*domain.DelegationCreated) {})
		}},
		"an exchange below a link that was revoked long before": {chaos.RuleDelegation, func(b *book) {
			b.delegations(domain.DelegationRevoked{DelegationID: b.delegation, DelegatorID: b.lender, RevokedBy: b.lender})
			b.another(func(*domain.DelegationCreated) {})
			b.later()
			b.belows(b.exchangedBelow())
		}},
		"an exchange of what was lent on by who was suspended long before": {chaos.RuleDelegation, func(b *book) {
			b.another(func(e *domain.DelegationCreated) { e.TTLSeconds, e.ExpiresAt = 3600, b.at.Add(time.Hour) })
			b.write(domain.AgentStream(b.borrower), domain.AgentSuspended{AgentID: b.borrower})
			b.later()
			b.belows(b.exchangedBelow())
		}},
		"an exchange for who is not the first that lent": {chaos.RuleDelegation, func(b *book) {
			e := b.exchangedBelow()
			e.Subject = &b.borrower
			b.belows(e)
		}},
		"a delegation in an organization suspended long before": {chaos.RuleDelegation, func(b *book) {
			b.organizations(domain.OrganizationSuspended{OrganizationID: b.organization})
			b.later()
			b.delegation.UUID = uuid.New()
			b.delegations(b.lent())
		}},
		"a token with a scope that was taken away": {chaos.RuleAllowed, func(b *book) {
			b.agent(b.rescoped(true, "agents:read"))
			e := b.issued()
			e.Scope = "audit:read"
			b.agent(e)
		}},
		"scopes taken away that end no tokens": {chaos.RuleAllowed, func(b *book) { b.agent(b.rescoped(false, "agents:read")) }},
		"scopes given that end tokens": {chaos.RuleAllowed, func(b *book) {
			b.agent(b.rescoped(true, "agents:read", "audit:read", "tokens:read"))
		}},
		"a change from a tier that it was not on": {chaos.RuleAllowed, func(b *book) {
			b.organizations(b.tierChanged(domain.TierPro, domain.TierFree))
		}},
		"a change to the tier that it is on": {chaos.RuleAllowed, func(b *book) {
			b.organizations(b.tierChanged(domain.TierEnterprise, domain.TierEnterprise))
		}},
		"a member twice": {chaos.RuleAllowed, func(b *book) {
			b.organizations(b.joined(b.lender))
			b.organizations(b.joined(b.lender))
		}},
		"a member of a deleted organization": {chaos.RuleAllowed, func(b *book) {
			b.dissolve()
			b.organizations(b.joined(b.lender))
		}},
		"a deleted organization that comes back": {chaos.RuleAllowed, func(b *book) {
			b.dissolve()
			b.organizations(domain.OrganizationReactivated{OrganizationID: b.organization})
		}},
		"an agent registered in a deleted organization": {chaos.RuleSeated, func(b *book) {
			b.dissolve()
			b.register(newAgent(), "new@acme.example")
		}},
		"seats closed while somebody sits": {chaos.RuleSeated, func(b *book) {
			b.seats(domain.SeatsClosed{OrganizationID: b.organization})
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
