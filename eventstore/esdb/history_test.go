package esdb_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
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

// others use the server too: their events are many, and most of them go with the
// next scavenge.
func others(t *testing.T, cluster *model.Cluster, rng *rand.Rand) {
	t.Helper()
	leader, stream := cluster.Leader(), fmt.Sprintf("orders-%d", rng.IntN(5))
	for range rng.IntN(80) {
		event := model.Proposed{ID: model.ID(uuid.New()), Type: "ordered", ContentType: "application/json", Data: []byte(`{}`)}
		if _, err := leader.Append(t.Context(), false, stream, model.ExpectAny, []model.Proposed{event}); err != nil {
			t.Fatal(err)
		}
	}
	if rng.IntN(2) == 0 {
		if _, err := leader.Delete(t.Context(), false, stream, model.ExpectAny); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever follows the ledger, stops at any time and goes on from the position
// that it kept sees every event once, whatever others write and a scavenge takes
// away; and a subscription that the server drops is nothing that anybody hears of.
func TestFollowersSeeEveryEventOnce(t *testing.T) {
	for _, version := range []string{"23.10", "24.2", "24.10", "25.1"} {
		for _, prefix := range []string{"", "mine/"} {
			for seed := range seeds(8) {
				synctest.Test(t, func(t *testing.T) { followed(t, version, prefix, seed) })
			}
		}
	}
}

func followed(t *testing.T, version, prefix string, seed uint64) {
	rng := seeded(seed)
	cluster := modelled(t, model.Options{Version: version, Rand: seeded(seed), Latency: time.Millisecond})
	lines := &logged{}
	ours := func(name string) bool { return !strings.HasPrefix(name, "orders-") }
	options := esdb.Options{Prefix: prefix, Streams: ours, Logger: slog.New(lines)}
	dialer := &modelwire.Dialer{Cluster: cluster}
	writer, reader := on(t, dialer, options), esdb.NewOn(dialer, options)
	defer func() { reader.Close() }()

	var wrote, saw []uuid.UUID
	var kept eventstore.Position
	sub := reader.Subscribe(0, eventstore.Filter{})
	for step := range 60 {
		switch rng.IntN(6) {
		case 0, 1:
			for n := range 1 + rng.IntN(100) {
				draft := storetest.NewDraft("a.x")
				mustAppend(t, writer, fmt.Sprintf("a-%d-%d", step, n%7), eventstore.Any(), draft)
				wrote = append(wrote, draft.ID)
			}
		case 2:
			others(t, cluster, rng)
		case 3:
			cluster.Scavenge()
		case 4: // the server with the read model is started again
			reader.Close()
			if rng.IntN(2) == 0 {
				others(t, cluster, rng)
				cluster.Scavenge()
			}
			reader = esdb.NewOn(dialer, options)
			sub = reader.Subscribe(kept, eventstore.Filter{})
		case 5:
			head := headOf(t, reader)
			for kept < head {
				batch, err := sub.Next(soon(t, time.Minute))
				if err != nil {
					t.Fatalf("%s, seed %d: Next: %v", version, seed, err)
				}
				for _, e := range batch.Events {
					saw = append(saw, e.ID)
				}
				kept = batch.Position
			}
			if len(saw) != len(wrote) {
				t.Fatalf("%s, seed %d, step %d: %d events were seen of %d", version, seed, step, len(saw), len(wrote))
			}
			if all := storetest.All(t, reader); len(all) != len(wrote) || len(all) > 0 && all[len(all)-1].Position != kept {
				t.Fatalf("%s, seed %d, step %d: %d events are read of %d, and position %d was kept", version, seed, step, len(all), len(wrote), kept)
			}
		}
	}
	for i := range saw {
		if saw[i] != wrote[i] {
			t.Fatalf("%s, seed %d: another event than was written is the %d. of what was seen", version, seed, i)
		}
	}
	if news := lines.above(slog.LevelInfo); len(news) > 0 {
		t.Errorf("%s, seed %d: it was logged: %q", version, seed, news)
	}
}

// The server drops a subscription whose reader is some thirty messages behind:
// the tail, whenever more is written at once. Nobody is kept waiting, or told.
func TestADroppedSubscriptionIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, lines, c := modelled(t, model.Options{Latency: time.Millisecond}), &logged{}, &counted{calls: map[string]int{}}
		dialer := &modelwire.Dialer{Cluster: cluster, Called: c.called}
		store := on(t, dialer, esdb.Options{Logger: slog.New(lines)})
		sub := store.Subscribe(0, eventstore.Filter{})
		defer sub.Close()
		for n := range 300 {
			appended := mustAppend(t, store, fmt.Sprintf("a-%d", n), eventstore.NoStream(), newDrafts(200)...)
			begin := time.Now()
			for at := eventstore.Position(0); at < appended.Position(); {
				batch, err := sub.Next(soon(t, time.Minute))
				if err != nil {
					t.Fatalf("Next: %v", err)
				}
				at = batch.Position
			}
			if took := time.Since(begin); took > 250*time.Millisecond {
				t.Errorf("a follower heard after %s", took)
			}
		}
		if follows := c.take()["follow"]; follows < 100 {
			t.Errorf("the subscription was made %d times: it was not dropped", follows)
		}
		if news := lines.above(slog.LevelInfo); len(news) > 0 {
			t.Errorf("it was logged: %q", news)
		}
	})
}

// A subscription that was made at a record which is gone by then leaves out the
// one after it. That is noticed before it is believed.
func TestASubscriptionAtARecordThatIsGoneIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := modelled(t, model.Options{})
		writer := on(t, &modelwire.Dialer{Cluster: cluster}, esdb.Options{})
		mustAppend(t, writer, "a-1", eventstore.NoStream(), storetest.NewDraft("a.x"))
		leader := cluster.Leader()
		event := model.Proposed{ID: model.ID(uuid.New()), Type: "ordered", ContentType: "application/json", Data: []byte(`{}`)}
		if _, err := leader.Append(t.Context(), false, "orders-1", model.ExpectAny, []model.Proposed{event}); err != nil {
			t.Fatal(err)
		}
		var appended eventstore.Appended
		once := sync.OnceFunc(func() {
			appended = mustAppend(t, writer, "a-2", eventstore.NoStream(), storetest.NewDraft("a.x"))
			if _, err := leader.Tombstone(t.Context(), false, "orders-1", model.ExpectAny); err != nil {
				t.Error(err)
			}
			if cluster.Scavenge() == 0 {
				t.Error("nothing was scavenged")
			}
		})
		store := on(t, &modelwire.Dialer{Cluster: cluster, Called: func(call string) {
			if call == "follow" {
				once()
			}
		}}, esdb.Options{})
		sub := store.Subscribe(0, eventstore.Filter{})
		defer sub.Close()
		for seen := 0; seen < 2; {
			batch, err := sub.Next(soon(t, 10*time.Second))
			if err != nil {
				t.Fatalf("the event at %d was left out: %v", appended.Position(), err)
			}
			seen += len(batch.Events)
		}
	})
}

// A position at which no record begins is read on from where it lies, and not
// from the beginning.
func TestAPositionOfNoRecordCostsNoWholeRead(t *testing.T) {
	for _, version := range []string{"23.10", "24.10"}[:seeds(2)] {
		synctest.Test(t, func(t *testing.T) {
			cluster, c := modelled(t, model.Options{Version: version}), &counted{calls: map[string]int{}}
			dialer := &modelwire.Dialer{Cluster: cluster, Called: c.called}
			writer := on(t, dialer, esdb.Options{})
			for n := range 60 {
				mustAppend(t, writer, fmt.Sprintf("a-%d", n), eventstore.NoStream(), newDrafts(500)...)
			}
			all := storetest.All(t, writer)
			store := on(t, dialer, esdb.Options{})
			headOf(t, store)
			for _, n := range []int{1, 100, len(all) / 2, len(all) - 5_000, len(all) - 2} {
				for _, off := range []eventstore.Position{1, 7, 100} {
					c.take()
					found := false
					for e, err := range store.ReadAll(t.Context(), all[n].Position-off, eventstore.Filter{}) {
						if err != nil || e.ID != all[n].ID {
							t.Fatalf("%s: %d before event %d: %v, %v, want that event", version, off, n, e.Position, err)
						}
						found = true
						break
					}
					if pages := c.take()["all"]; !found || pages > 12 {
						t.Errorf("%s: %d before event %d: nothing, or %d pages were read", version, off, n, pages)
					}
				}
			}
		})
	}
}
