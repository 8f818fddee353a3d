package chaos_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/test/chaos"
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

// broken is a history that breaks a promise.
type broken struct {
	rule   chaos.Rule
	breach func(b *book)
}

// mustBeFound holds that each of these histories is found broken.
func mustBeFound(t *testing.T, histories map[string]broken) {
	t.Helper()
	for name, broken := range histories {
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

func newAgent() domain.AgentID { return domain.AgentID{UUID: uuid.New()} }

func TestBrokenLedgersAreFound(t *testing.T) {
	t.Parallel()
	mustBeFound(t, map[string]broken{
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
	})
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
