package ledger_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// readModels has reached a position, and waits for nothing beyond.
type readModels struct{ reached eventstore.Position }

var errBehind = errors.New("behind")

func (m *readModels) Wait(_ context.Context, position eventstore.Position, _ ...domain.Type) error {
	if position > m.reached {
		return errBehind
	}
	return nil
}

// membersBehind shows everything but members, who have reached a position.
type membersBehind struct{ reached eventstore.Position }

func (m *membersBehind) Wait(_ context.Context, position eventstore.Position, types ...domain.Type) error {
	wanted := len(types) == 0 || slices.Contains(types, domain.MemberRemoved{}.EventType())
	if wanted && position > m.reached {
		return errBehind
	}
	return nil
}

// A decommissioning takes the agent's role in its organization first, on another
// stream that another read model shows. Its answer waits for that one too, also
// where the role was taken by the same command, which was cut off in between.
func TestADecommissioningWaitsUntilItsRoleIsGone(t *testing.T) {
	t.Parallel()
	gone := domain.AgentIsGone
	for name, command := range map[string]func(*world, domain.AgentID) error{
		"removed": func(w *world, id domain.AgentID) error {
			_, err := w.DecommissionAgent(context.Background(), ledger.System(), id, domain.DecommissionAgent{Caller: w.operator})
			return err
		},
		"changed": func(w *world, id domain.AgentID) error {
			_, err := w.UpdateAgent(context.Background(), ledger.System(), id, domain.UpdateAgent{Caller: w.operator, Status: &gone})
			return err
		},
	} {
		for _, cutOff := range []bool{false, true} {
			w := newWorld(t, memory.New(), 10)
			id := w.admins(t, 2)[0]
			models := &membersBehind{reached: w.head(t)}
			if cutOff {
				command := domain.RemoveMember{Caller: w.operator, AgentID: id}
				if _, err := w.RemoveMember(t.Context(), ledger.System(), w.organization, command); err != nil {
					t.Fatal(err)
				}
			}
			w.Ledger = ledger.New(w.store, models, revocation.New(w.store, revocation.Options{}), ledger.Options{})
			var unsettled *ledger.UnsettledError
			if err := command(w, id); !errors.As(err, &unsettled) || unsettled.Position <= models.reached {
				t.Errorf("%s, cut off %t: %v, want that the members are behind", name, cutOff, err)
			}
		}
		// An agent that never had a role waits for nothing.
		w := newWorld(t, memory.New(), 10)
		models := &membersBehind{reached: w.head(t)}
		w.Ledger = ledger.New(w.store, models, revocation.New(w.store, revocation.Options{}), ledger.Options{})
		if err := command(w, w.register(t, "plain@acme.test").ID); err != nil {
			t.Errorf("%s, without a role: %v", name, err)
		}
	}
}

// Whoever repeats a command that was done, but whose answer said that nobody
// could read it yet, is told the same until it can be read.
func TestARepeatedCommandWaitsForTheReadModelsToo(t *testing.T) {
	t.Parallel()
	store := memory.New()
	w := newWorld(t, store, 10)
	models := &readModels{reached: w.head(t)}
	w.Ledger = ledger.New(store, models, revocation.New(store, revocation.Options{}), ledger.Options{})
	registration := w.registration("new@acme.example")
	for _, attempt := range []string{"first", "second"} {
		if _, err := w.RegisterAgent(t.Context(), ledger.System(), registration); !errors.Is(err, errBehind) {
			t.Errorf("the %s attempt: %v, want that the read models are behind", attempt, err)
		}
	}
	models.reached = w.head(t)
	if _, err := w.RegisterAgent(t.Context(), ledger.System(), registration); err != nil {
		t.Errorf("when they have it: %v", err)
	}
}

func (w *world) head(t *testing.T) eventstore.Position {
	t.Helper()
	head, err := w.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head
}
