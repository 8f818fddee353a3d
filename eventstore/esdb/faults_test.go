package esdb_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// until waits for something that comes by itself.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func phase(store *esdb.Store, want esdb.Phase) func() bool {
	return func() bool { return store.State().Phase == want }
}

func mustAppend(t testing.TB, store eventstore.Store, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) eventstore.Appended {
	t.Helper()
	appended, err := store.Append(t.Context(), stream, expected, events...)
	if err != nil {
		t.Fatalf("Append to %s: %v", stream, err)
	}
	return appended
}

func newDrafts(n int) []eventstore.Draft {
	drafts := make([]eventstore.Draft, n)
	for i := range drafts {
		drafts[i] = storetest.NewDraft("a.x")
	}
	return drafts
}

// The store finds out by itself: the caller does not notice.
func TestALostAnswerIsFound(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	store := newStore(t, cluster.URL(), esdb.Options{})
	mustAppend(t, store, "a-1", eventstore.NoStream(), storetest.NewDraft("a.x"))
	for n, c := range []struct {
		stream   string
		expected eventstore.ExpectedRevision
		events   int
	}{
		{"a-1", eventstore.Exactly(0), 1},
		{"a-1", eventstore.Exactly(1), 3},
		{"a-1", eventstore.Any(), 1},
		{"a-2", eventstore.NoStream(), 2},
		{"a-3", eventstore.Any(), 2},
	} {
		drafts := newDrafts(c.events)
		before := cluster.Events()
		cluster.LoseAnswers(1)
		first := mustAppend(t, store, c.stream, c.expected, drafts...)
		if got := cluster.Events() - before; got != c.events {
			t.Errorf("%d: %d events were stored, want %d", n, got, c.events)
		}
		if diff := cmp.Diff(first, mustAppend(t, store, c.stream, c.expected, drafts...)); diff != "" {
			t.Errorf("%d: repeated (-first +repeated):\n%s", n, diff)
		}
	}
	storetest.Verify(t, store)
}

// Ids never go back in time, and a clock that is set back does: then an event's id is
// ahead of the time at which it is recorded. What was appended is found all the same,
// by the store that lost the answer and by one that knows nothing of it.
func TestIDsMayBeAheadOfTheClock(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 1)
	store := newStore(t, cluster.URL(), esdb.Options{})
	drafts := newDrafts(3)
	for i := range drafts {
		minted := drafts[i].Time.Add(time.Hour).UnixMilli()
		for b := range 6 {
			drafts[i].ID[b] = byte(minted >> (40 - 8*b))
		}
	}
	cluster.LoseAnswers(1)
	first := mustAppend(t, store, "a-1", eventstore.Any(), drafts...)
	for range 10 { // more than a store looks at when it begins
		mustAppend(t, store, "a-2", eventstore.Any(), newDrafts(250)...)
	}
	for name, store := range map[string]*esdb.Store{"one": store, "other": newStore(t, cluster.URL(), esdb.Options{})} {
		for _, again := range []string{"at first", "with the stream known"} {
			if diff := cmp.Diff(first, mustAppend(t, store, "a-1", eventstore.Any(), drafts...)); diff != "" {
				t.Errorf("repeated by the %s store, %s (-first +repeated):\n%s", name, again, diff)
			}
			mustAppend(t, store, "a-1", eventstore.Any(), newDrafts(1)...)
		}
	}
	storetest.Verify(t, store)
}

// The caller is told that the outcome is open, and learns it by asking again:
// the same process or another one, which knows nothing of the first attempt.
func TestALostAnswerIsToldWhenAskedAgain(t *testing.T) {
	t.Parallel()
	for name, expected := range map[string]eventstore.ExpectedRevision{"exact": eventstore.Exactly(0), "any": eventstore.Any()} {
		cluster := newCluster(t, 1)
		one, other := newStore(t, cluster.URL(), esdb.Options{}), newStore(t, cluster.URL(), esdb.Options{})
		mustAppend(t, one, "a-1", eventstore.NoStream(), storetest.NewDraft("a.x"))
		draft := storetest.NewDraft("a.y")
		cluster.StopAfter(1)
		if _, err := one.Append(t.Context(), "a-1", expected, draft); !errors.Is(err, eventstore.ErrUnavailable) {
			t.Fatalf("%s: Append = %v, want ErrUnavailable", name, err)
		}
		if err := cluster.Node(0).Start(); err != nil {
			t.Fatal(err)
		}
		until(t, "both are connected", func() bool { return phase(one, esdb.Connected)() && phase(other, esdb.Connected)() })
		again := draft
		again.Time = again.Time.Add(time.Second) // a caller decides anew, with the same id
		elsewhere := mustAppend(t, other, "a-1", expected, again)
		here := mustAppend(t, one, "a-1", expected, draft)
		if diff := cmp.Diff(here, elsewhere); diff != "" || here.Revision != 1 {
			t.Errorf("%s: revision %d; one process and the other:\n%s", name, here.Revision, diff)
		}
		mustAppend(t, other, "a-1", eventstore.Exactly(1), storetest.NewDraft("a.x"))
		if got := len(storetest.Verify(t, one)); got != 3 {
			t.Errorf("%s: %d events, want 3", name, got)
		}
	}
}

// TestWritersOutliveFaults has 64 writers meet each fault in turn.
func TestWritersOutliveFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name   string
		nodes  int
		happen func(t *testing.T, cluster *wiretest.Cluster, store *esdb.Store, w *writers)
	}{
		{"lost answers", 1, func(t *testing.T, cluster *wiretest.Cluster, _ *esdb.Store, w *writers) {
			for range 5 {
				cluster.LoseAnswers(3)
				w.more(t, 200)
			}
		}},
		{"restart", 1, func(t *testing.T, cluster *wiretest.Cluster, _ *esdb.Store, w *writers) {
			for range 3 {
				cluster.Node(0).Stop()
				if err := cluster.Node(0).Start(); err != nil {
					t.Error(err)
				}
				w.more(t, 200)
			}
		}},
		{"leader changes", 3, func(t *testing.T, cluster *wiretest.Cluster, _ *esdb.Store, w *writers) {
			for n := range 6 {
				cluster.Lead(cluster.Node((n + 1) % 3))
				w.more(t, 200)
			}
		}},
		{"the leader dies", 3, func(t *testing.T, cluster *wiretest.Cluster, _ *esdb.Store, w *writers) {
			cluster.Lead(nil)
			cluster.Node(0).Stop()
			cluster.Lead(cluster.Node(1))
			w.more(t, 200)
			if err := cluster.Node(0).Start(); err != nil {
				t.Error(err)
			}
			cluster.Lead(cluster.Node(0))
			w.more(t, 200)
		}},
		{"refused connections", 3, func(t *testing.T, cluster *wiretest.Cluster, store *esdb.Store, w *writers) {
			for n := range 3 {
				cluster.Node(n).Stop()
			}
			until(t, "the store notices", phase(store, esdb.Unavailable))
			unavailable := w.unavailable.Load()
			until(t, "attempts fail and callers are told", func() bool {
				return store.State().Failures > 20 && w.unavailable.Load() > unavailable+640
			})
			if _, err := store.Head(t.Context()); !errors.Is(err, eventstore.ErrUnavailable) {
				t.Errorf("Head = %v, want ErrUnavailable", err)
			}
			for n := range 3 {
				if err := cluster.Node(n).Start(); err != nil {
					t.Error(err)
				}
			}
			w.more(t, 200)
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			cluster := newCluster(t, fault.nodes)
			store := newStore(t, cluster.URL(), esdb.Options{})
			f := follow(t, store)
			var w writers
			w.start(t, store, 64)
			w.more(t, 200)
			fault.happen(t, cluster, store, &w)
			w.end(t, store, f)
		})
	}
}
