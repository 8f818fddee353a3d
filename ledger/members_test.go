package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// admins registers agents and makes each an admin of the organization.
func (w *world) admins(t *testing.T, n int) []domain.AgentID {
	t.Helper()
	ids := make([]domain.AgentID, n)
	for i := range ids {
		ids[i] = w.register(t, fmt.Sprintf("admin-%d@acme.test", i)).ID
		w.join(t, ids[i], domain.RoleAdmin)
	}
	return ids
}

func (w *world) join(t *testing.T, id domain.AgentID, role domain.Role) {
	t.Helper()
	command := domain.AddMember{Caller: w.operator, AgentID: id, Role: role}
	if _, err := w.AddMember(t.Context(), ledger.System(), w.organization, command); err != nil {
		t.Fatal(err)
	}
}

// as is a token of an admin with all that its agent may.
func (w *world) as(id domain.AgentID) domain.Caller {
	return domain.Caller{AgentID: id, OrganizationID: w.organization, Scopes: domain.AllScopes().Without(domain.ScopeAdminOrgs)}
}

func (w *world) setStatus(node *ledger.Ledger, by domain.Caller, id domain.AgentID, status domain.AgentStatus) error {
	_, err := node.UpdateAgent(context.Background(), ledger.System(), id, domain.UpdateAgent{Caller: by, Status: &status})
	return err
}

// canAct counts the admins whose agents are active.
func (w *world) canAct(t *testing.T, ids []domain.AgentID) (acting int) {
	t.Helper()
	organization, err := w.Organization(t.Context(), w.organization)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		agent, err := w.Agent(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if organization.IsAdmin(id) && agent.Status == domain.AgentActive {
			acting++
		}
	}
	return acting
}

// Two admins that suspend each other at the same time, on two nodes: one stays,
// and it can bring the other back.
func TestOfAdminsThatSuspendEachOtherOneStays(t *testing.T) {
	for round := range 40 {
		store := memory.New()
		w := newWorld(t, store, domain.Unlimited+1000)
		nodes := []*ledger.Ledger{w.Ledger, ledger.New(store, nil, revocation.New(store, revocation.Options{}), ledger.Options{})}
		ids := w.admins(t, 2)
		got := parallel(2, func(i int) error {
			return w.setStatus(nodes[i], w.as(ids[1-i]), ids[i], domain.AgentIsSuspended)
		})
		if got[""] != 1 || got[domain.CodeConflict] != 1 || w.canAct(t, ids) != 1 {
			t.Fatalf("round %d: %v, %d can act; want one done, one refused", round, got, w.canAct(t, ids))
		}
		asleep, awake := ids[0], ids[1]
		if agent, err := w.Agent(t.Context(), asleep); err != nil || agent.Status == domain.AgentActive {
			asleep, awake = awake, asleep
		}
		for _, by := range []domain.Caller{w.as(awake), w.as(asleep)} { // the other way round too
			if err := w.setStatus(nodes[round%2], w.as(awake), asleep, domain.AgentActive); err != nil {
				t.Fatalf("round %d: the other does not come back: %v", round, err)
			}
			if err := w.setStatus(nodes[round%2], by, asleep, domain.AgentIsSuspended); err != nil {
				t.Fatalf("round %d: one of two active admins is not suspended: %v", round, err)
			}
		}
		storetest.Verify(t, store)
	}
}

// Suspended, brought back and removed at random by many at once, on two nodes:
// at every position of the ledger an admin can act.
func TestAnAdminCanActAtEveryPosition(t *testing.T) {
	for round := range 20 {
		store := memory.New()
		w := newWorld(t, store, domain.Unlimited+1000)
		nodes := []*ledger.Ledger{w.Ledger, ledger.New(store, nil, revocation.New(store, revocation.Options{}), ledger.Options{})}
		ids := w.admins(t, 3)
		from, err := w.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(uint64(round), 11))
		steps := make([][]int, 6)
		for i := range steps {
			for range 8 {
				steps[i] = append(steps[i], rng.IntN(100))
			}
		}
		parallel(len(steps), func(i int) error {
			for _, n := range steps[i] {
				id, by, node := ids[n%3], w.as(ids[(n/3)%3]), nodes[i%2]
				switch {
				case n >= 96:
					_, _ = node.RemoveMember(t.Context(), ledger.System(), w.organization, domain.RemoveMember{Caller: by, AgentID: id})
				case n%2 == 0:
					_ = w.setStatus(node, by, id, domain.AgentActive)
				default:
					_ = w.setStatus(node, by, id, domain.AgentIsSuspended)
				}
			}
			return nil
		})
		w.checkAdminsSince(t, ids, from)
	}
}

// checkAdminsSince folds the ledger and looks after every event whether an admin
// is there that can act.
func (w *world) checkAdminsSince(t *testing.T, ids []domain.AgentID, from eventstore.Position) {
	t.Helper()
	organization, agents := domain.Organization{}, map[domain.AgentID]domain.Agent{}
	for e, err := range w.store.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		record, err := e.Decode()
		if err != nil {
			t.Fatal(err)
		}
		fact, err := domain.Decode(domain.Type(record.Type), record.Schema, record.Data)
		if err != nil {
			t.Fatal(err)
		}
		organization = organization.Evolve(fact, record.Time)
		for _, id := range ids {
			if e.Stream == domain.AgentStream(id) {
				agents[id] = agents[id].Evolve(fact, record.Time)
			}
		}
		if e.Position <= from {
			continue
		}
		if !slices.ContainsFunc(ids, func(id domain.AgentID) bool {
			return organization.IsAdmin(id) && agents[id].Status == domain.AgentActive
		}) {
			t.Fatalf("after position %d (%s) no admin can act", e.Position, record.Type)
		}
	}
}

// The role needs no scope: an admin with none left still makes another.
func TestAnAdminWithoutScopesCanAct(t *testing.T) {
	w := newWorld(t, memory.New(), 1000)
	boss, other, none := w.admins(t, 1)[0], w.register(t, "other@acme.test").ID, domain.NewScopes()
	w.join(t, other, domain.RoleMember)
	if _, err := w.UpdateAgent(t.Context(), ledger.System(), boss, domain.UpdateAgent{Caller: w.operator, Scopes: &none}); err != nil {
		t.Fatal(err)
	}
	bare := domain.Caller{AgentID: boss, OrganizationID: w.organization}
	promote := domain.ChangeMemberRole{Caller: bare, AgentID: other, Role: domain.RoleAdmin}
	if _, err := w.ChangeMemberRole(t.Context(), ledger.System(), w.organization, promote); err != nil {
		t.Error(err)
	}
}

// Killed between the two steps, the agent is active and does not count as an
// admin that can act; the same command again completes it.
func TestASuspensionThatStoppedHalfWayCanBeRepeated(t *testing.T) {
	w := newWorld(t, memory.New(), 1000)
	ids := w.admins(t, 2)
	agent, err := w.Agent(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	w.appendFact(t, domain.OrganizationStream(w.organization),
		domain.MemberSuspended{OrganizationID: w.organization, AgentID: ids[0], Edition: agent.Edition})
	if err := w.setStatus(w.Ledger, w.as(ids[0]), ids[1], domain.AgentIsSuspended); !errors.Is(err, &domain.Error{Code: domain.CodeConflict}) {
		t.Errorf("the other admin was suspended: %v", err)
	}
	if err := w.setStatus(w.Ledger, w.as(ids[1]), ids[0], domain.AgentIsSuspended); err != nil {
		t.Errorf("the command again: %v", err)
	}
	if err := w.setStatus(w.Ledger, w.as(ids[1]), ids[0], domain.AgentActive); err != nil {
		t.Error(err)
	}
	if err := w.setStatus(w.Ledger, w.as(ids[0]), ids[1], domain.AgentIsSuspended); err != nil {
		t.Errorf("it is back and does not count: %v", err)
	}
}

// Whatever is done to admins at the same time, in whichever way, by two nodes:
// one stays, is not decommissioned and has the role.
func TestOneOfManyAdminsStays(t *testing.T) {
	for round := range 30 {
		store := memory.New()
		w := newWorld(t, store, domain.Unlimited+1000)
		nodes := []*ledger.Ledger{w.Ledger, ledger.New(store, nil, revocation.New(store, revocation.Options{}), ledger.Options{})}
		ids, gone, asleep := w.admins(t, 5), domain.AgentIsGone, domain.AgentIsSuspended
		got := parallel(len(ids), func(i int) (err error) {
			node, id := nodes[(i+round)%len(nodes)], ids[i]
			switch (i + round) % 5 {
			case 0:
				_, err = node.ChangeMemberRole(t.Context(), ledger.System(), w.organization,
					domain.ChangeMemberRole{Caller: w.operator, AgentID: id, Role: domain.RoleMember})
			case 1:
				_, err = node.RemoveMember(t.Context(), ledger.System(), w.organization, domain.RemoveMember{Caller: w.operator, AgentID: id})
			case 2:
				_, err = node.DecommissionAgent(t.Context(), ledger.System(), id, domain.DecommissionAgent{Caller: w.operator})
			case 3:
				_, err = node.UpdateAgent(t.Context(), ledger.System(), id, domain.UpdateAgent{Caller: w.operator, Status: &gone})
			case 4: // by the next of them
				_, err = node.UpdateAgent(t.Context(), ledger.System(), id, domain.UpdateAgent{Caller: w.as(ids[(i+1)%len(ids)]), Status: &asleep})
			}
			return err
		})
		// One more may be refused: whose own role was taken before it could suspend.
		if got[""] < len(ids)-2 || got[domain.CodeConflict] > 1 {
			t.Fatalf("round %d: %v, want all but one done", round, got)
		}
		organization, err := w.Organization(t.Context(), w.organization)
		if err != nil {
			t.Fatal(err)
		}
		living := 0
		for _, id := range ids {
			agent, err := w.Agent(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if _, member := organization.Members[id]; member && agent.Status == domain.AgentIsGone {
				t.Errorf("round %d: a decommissioned agent is a member", round)
			}
			if organization.IsAdmin(id) && agent.Status == domain.AgentActive {
				living++
			}
		}
		if living < 1 {
			t.Fatalf("round %d: no admin is left that can act; members %v", round, organization.Members)
		}
		storetest.Verify(t, store)
	}
}

// What is refused on the agent takes no role, and what is refused for the role
// leaves the agent as it was.
func TestARefusedDecommissioningChangesNothing(t *testing.T) {
	w := newWorld(t, memory.New(), 1000)
	ids := w.admins(t, 2)
	head, err := w.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone := domain.AgentIsGone
	narrow := domain.Caller{AgentID: ids[0], OrganizationID: w.organization, Scopes: domain.NewScopes(domain.ScopeAgentsRead)}
	for name, test := range map[string]struct {
		command domain.UpdateAgent
		code    domain.Code
	}{
		"another edition": {domain.UpdateAgent{Caller: w.operator, Status: &gone, IfEdition: []int{7}}, domain.CodePreconditionFailed},
		"a narrow token":  {domain.UpdateAgent{Caller: narrow, Status: &gone}, domain.CodeCrossTenant},
	} {
		if _, err := w.UpdateAgent(t.Context(), ledger.System(), ids[0], test.command); !errors.Is(err, &domain.Error{Code: test.code}) {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
	}
	if now, err := w.Head(t.Context()); err != nil || now != head {
		t.Errorf("the ledger went from %d to %d, %v", head, now, err)
	}
}

// Ledgers from before roles could be taken away have decommissioned admins.
func TestAnAdminThatIsGoneDoesNotCount(t *testing.T) {
	store := memory.New()
	w := newWorld(t, store, 1000)
	dead := w.register(t, "dead@acme.test").ID
	if _, err := w.DecommissionAgent(t.Context(), ledger.System(), dead, domain.DecommissionAgent{Caller: w.operator}); err != nil {
		t.Fatal(err)
	}
	add := domain.AddMember{Caller: w.operator, AgentID: dead, Role: domain.RoleAdmin}
	if _, err := w.AddMember(t.Context(), ledger.System(), w.organization, add); !errors.Is(err, &domain.Error{Code: domain.CodeAgentDecommissioned}) {
		t.Errorf("a decommissioned agent became an admin: %v", err)
	}
	w.appendFact(t, domain.OrganizationStream(w.organization), domain.MemberAdded{OrganizationID: w.organization, AgentID: dead, Role: domain.RoleAdmin})
	alive := w.admins(t, 1)[0]
	remove := func(id domain.AgentID) error {
		_, err := w.RemoveMember(t.Context(), ledger.System(), w.organization, domain.RemoveMember{Caller: w.operator, AgentID: id})
		return err
	}
	if err := remove(alive); !errors.Is(err, &domain.Error{Code: domain.CodeConflict}) {
		t.Errorf("the last living admin was removed: %v", err)
	}
	if err := remove(dead); err != nil {
		t.Errorf("the dead admin cannot be removed: %v", err)
	}
}

// appendFact puts an event on a stream as it is, past every rule.
func (w *world) appendFact(t *testing.T, stream string, fact domain.Event) {
	t.Helper()
	eventType, schema, data, err := domain.Encode(fact)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.store.Append(t.Context(), stream, eventstore.Any(), eventstore.Draft{
		ID: ledger.NewID(), Type: string(eventType), Schema: schema, Organization: w.organization.UUID,
		Actor: ledger.System().Actor, Time: time.Now().UTC(), Data: data,
	})
	if err != nil {
		t.Fatal(err)
	}
}
