package ledger_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/ledger"
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

// Whatever is done to admins at the same time, in whichever way, by two nodes:
// one stays, is not decommissioned and has the role.
func TestOneOfManyAdminsStays(t *testing.T) {
	for round := range 30 {
		store := memory.New()
		w := newWorld(t, store, domain.Unlimited+1000)
		nodes := []*ledger.Ledger{w.Ledger, ledger.New(store, nil, allActive{}, ledger.Options{})}
		ids, gone := w.admins(t, 4), domain.AgentIsGone
		got := parallel(len(ids), func(i int) (err error) {
			node, id := nodes[(i+round)%len(nodes)], ids[i]
			switch (i + round) % 4 {
			case 0:
				_, err = node.ChangeMemberRole(t.Context(), ledger.System(), w.organization,
					domain.ChangeMemberRole{Caller: w.operator, AgentID: id, Role: domain.RoleMember})
			case 1:
				_, err = node.RemoveMember(t.Context(), ledger.System(), w.organization, domain.RemoveMember{Caller: w.operator, AgentID: id})
			case 2:
				_, err = node.DecommissionAgent(t.Context(), ledger.System(), id, domain.DecommissionAgent{Caller: w.operator})
			case 3:
				_, err = node.UpdateAgent(t.Context(), ledger.System(), id, domain.UpdateAgent{Caller: w.operator, Status: &gone})
			}
			return err
		})
		if got[""] != len(ids)-1 || got[domain.CodeConflict] != 1 {
			t.Fatalf("round %d: %v, want 3 done and 1 %s", round, got, domain.CodeConflict)
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
		if living != 1 {
			t.Fatalf("round %d: %d admins are left, want 1; members %v", round, living, organization.Members)
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
