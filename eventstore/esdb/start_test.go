package esdb_test

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/modelwire"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// foreign appends events of others.
func foreign(t *testing.T, cluster *model.Cluster, n int) {
	t.Helper()
	events := make([]model.Proposed, n)
	for i := range events {
		events[i] = model.Proposed{ID: model.ID(uuid.New()), Type: "ordered", ContentType: "application/json", Data: []byte(`{}`)}
	}
	if _, err := cluster.Leader().Append(t.Context(), false, "orders", model.ExpectAny, events); err != nil {
		t.Fatal(err)
	}
}

// On a server that others use a store looks for the ledger's newest event through
// what they have written, once: the next one that starts reads from there.
func TestWhatIsForeignIsNotReadAgainAtEachStart(t *testing.T) {
	for _, prefix := range []string{"", "mine/"} {
		synctest.Test(t, func(t *testing.T) {
			cluster, c := modelled(t, model.Options{}), &counted{calls: map[string]int{}}
			dialer := &modelwire.Dialer{Cluster: cluster, Called: c.called}
			options := esdb.Options{Prefix: prefix}
			first := on(t, dialer, options)
			appended := mustAppend(t, first, "a-1", eventstore.NoStream(), newDrafts(3)...)
			first.Close()
			for range 20 {
				foreign(t, cluster, 5000)
			}
			pages := func() int {
				t.Helper()
				c.take()
				store := on(t, dialer, options)
				if head := headOf(t, store); head != appended.Position() {
					t.Fatalf("the head is %d, want %d", head, appended.Position())
				}
				sub := store.Subscribe(appended.Positions[0], eventstore.Filter{})
				if got := len(storetest.Follow(t, sub, appended.Position())); got != 2 {
					t.Fatalf("%d events come after the first, want 2", got)
				}
				sub.Close()
				time.Sleep(2 * time.Second) // the lease is over
				headOf(t, store)
				store.Close()
				return c.take()["all"]
			}
			if n := pages(); n < 20 {
				t.Errorf("%d reads at the first start: what is foreign was not read", n)
			}
			foreign(t, cluster, 5000)
			before := pages()
			if again := pages(); again > 12 || before > 14 {
				t.Errorf("%d and %d reads at the next starts", before, again)
			}
		})
	}
}

// A barrier that was written before another store's event was seen hides nothing.
func TestABarrierHidesNothing(t *testing.T) {
	for seed := range seeds(60) {
		synctest.Test(t, func(t *testing.T) {
			rng := seeded(seed)
			cluster := modelled(t, model.Options{Rand: seeded(seed), Latency: time.Duration(1+rng.IntN(20)) * time.Millisecond})
			dialer := &modelwire.Dialer{Cluster: cluster}
			a, b := on(t, dialer, esdb.Options{Logger: slog.New(slog.DiscardHandler)}), on(t, dialer, esdb.Options{})
			wrote := 0
			for n := range 30 {
				switch rng.IntN(4) {
				case 0:
					mustAppend(t, a, fmt.Sprintf("a-%d", n), eventstore.NoStream(), storetest.NewDraft("a.x"))
					wrote++
				case 1:
					go func() { _, _ = b.Head(t.Context()) }()
				case 2:
					foreign(t, cluster, rng.IntN(100))
				case 3:
					time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
				}
			}
			foreign(t, cluster, 6000)
			third := on(t, dialer, esdb.Options{})
			all := storetest.All(t, third)
			if len(all) != wrote {
				t.Fatalf("seed %d: %d events are read of %d", seed, len(all), wrote)
			}
			if wrote == 0 {
				return
			}
			head := all[len(all)-1].Position
			if got := headOf(t, third); got != head {
				t.Fatalf("seed %d: the head is %d, want %d", seed, got, head)
			}
			after, want := eventstore.Position(0), all
			if len(all) > 2 {
				at := rng.IntN(len(all) - 1)
				after, want = all[at].Position, all[at+1:]
			}
			if got := storetest.Follow(t, third.Subscribe(after, eventstore.Filter{}), head); len(got) != len(want) {
				t.Fatalf("seed %d: %d events follow, want %d", seed, len(got), len(want))
			}
		})
	}
}
