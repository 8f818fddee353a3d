package esdb_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/modelwire"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// A server that is put back to an earlier state under a store is neither written on
// nor believed, whatever was lost, until it has all of it again.
func TestAServerThatIsPutBackIsNotWrittenOn(t *testing.T) {
	t.Parallel()
	cluster := wiretest.Start(t, 1)
	s, err := esdb.New(cluster.URL(), esdb.Options{MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	append := func() (eventstore.Appended, error) {
		return s.Append(t.Context(), "a-1", eventstore.Any(), storetest.NewDraft("a.happened"))
	}
	for range 5 {
		if _, err := append(); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		before := cluster.Model().Backup()
		if _, err := append(); err != nil {
			t.Fatal(err)
		}
		after := cluster.Model().Backup()
		known, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		restore := func(to func()) {
			t.Helper()
			cluster.Node(0).Stop()
			to()
			if err := cluster.Node(0).Start(); err != nil {
				t.Fatal(err)
			}
		}
		events := cluster.Events()
		restore(func() { cluster.Model().Restore(before) })
		var lost *eventstore.LostError
		await(t, func() bool { _, err := s.Head(t.Context()); return errors.As(err, &lost) })
		if lost.Known < known || lost.Head >= known {
			t.Errorf("the head was at %d: %v", known, lost)
		}
		if _, err := append(); !errors.As(err, &lost) || !errors.Is(err, eventstore.ErrUnavailable) {
			t.Errorf("an append: %v, want that events are lost", err)
		}
		restore(func() { cluster.Model().Restore(after) })
		await(t, func() bool { _, err := s.Head(t.Context()); return err == nil })
		if got := cluster.Events("barrier"); got > events {
			t.Errorf("%d events, before it was put back %d", got, events)
		}
	}
	if _, err := append(); err != nil {
		t.Error(err)
	}
	storetest.Verify(t, s)
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("waited for a minute")
		case <-time.After(time.Millisecond):
		}
	}
}

// A node that is behind and has not shown that it leads, such as a leader that was
// deposed and wakes, is no reason to say that events are lost: somebody would be
// called out for it, or put a backup back.
func TestANodeThatIsBehindHasLostNothing(t *testing.T) {
	const rounds = 40
	behind := 0
	for seed := range uint64(rounds) {
		synctest.Test(t, func(t *testing.T) {
			rng := seeded(seed)
			cluster := modelled(t, model.Options{Nodes: 3, Elections: true, Rand: seeded(seed), Latency: time.Millisecond})
			lines := &logged{}
			store := on(t, &modelwire.Dialer{Cluster: cluster, Seed: seed + 1}, esdb.Options{Logger: slog.New(lines)})
			mustAppend(t, store, "a-1", eventstore.NoStream(), storetest.NewDraft("a.x"))
			for range 4 {
				leader := cluster.Leader()
				for leader == nil {
					time.Sleep(100 * time.Millisecond)
					leader = cluster.Leader()
				}
				leader.Freeze()
				end := time.Now().Add(time.Duration(5+rng.IntN(10)) * time.Second)
				woken := false
				for time.Now().Before(end.Add(5 * time.Second)) {
					if !woken && time.Now().After(end) {
						woken = true
						leader.Wake()
						if other := cluster.Leader(); other != nil && other != leader {
							other.Kill() // so that whoever looks for a leader finds the one that was
							time.AfterFunc(3*time.Second, other.Start)
						}
					}
					_, err := store.Append(soon(t, 2*time.Second), "a-1", eventstore.Any(), storetest.NewDraft("a.x"))
					_, reading := store.Head(soon(t, 2*time.Second))
					for _, err := range []error{err, reading} {
						if errors.As(err, new(*eventstore.LostError)) {
							t.Fatalf("seed %d: %v", seed, err)
						}
						if err != nil && strings.Contains(err.Error(), "has not shown that it leads") {
							behind++
						}
					}
					time.Sleep(time.Duration(rng.IntN(50)) * time.Millisecond)
				}
				if !leader.Alive() {
					leader.Start()
				}
			}
		})
	}
	t.Logf("a node was behind %d times", behind)
	if behind == 0 {
		t.Error("no node was behind: that shows nothing")
	}
}
