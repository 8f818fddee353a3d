package ledger_test

import (
	"context"
	"errors"
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger"
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

// Whoever repeats a command that was done, but whose answer said that nobody
// could read it yet, is told the same until it can be read.
func TestARepeatedCommandWaitsForTheReadModelsToo(t *testing.T) {
	t.Parallel()
	store := memory.New()
	w := newWorld(t, store, 10)
	models := &readModels{reached: w.head(t)}
	w.Ledger = ledger.New(store, models, allActive{}, ledger.Options{})
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
