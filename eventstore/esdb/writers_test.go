package esdb_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// writers is a load whose every acknowledgement is remembered.
type writers struct {
	all          sync.WaitGroup
	acknowledged atomic.Int64
	unavailable  atomic.Int64
	stop         atomic.Bool
	revisions    []int64 // by writer, the last acknowledged one; read after the end
}

// start has n writers append to a stream each, one event after another, and
// ask again with the same id for as long as they are told to.
func (w *writers) start(t *testing.T, store eventstore.Store, n int) {
	w.revisions = make([]int64, n)
	for i := range n {
		w.all.Go(func() {
			for at := int64(-1); !w.stop.Load(); at++ {
				d := storetest.NewDraft("a.x")
				for {
					appended, err := store.Append(t.Context(), fmt.Sprintf("a-%d", i), eventstore.Exactly(at), d)
					if err == nil {
						if appended.Revision != at+1 || len(appended.Positions) != 1 || appended.Position() == 0 {
							t.Errorf("an append at revision %d: %+v", at, appended)
						}
						break
					}
					if !errors.Is(err, eventstore.ErrUnavailable) {
						t.Errorf("Append: %v", err)
						return
					}
					w.unavailable.Add(1)
					time.Sleep(10 * time.Millisecond) // sixty-four that ask without a pause leave no time for anything else
				}
				w.acknowledged.Add(1)
				w.revisions[i] = at + 1
			}
		})
	}
}

// more waits until so many more appends have been acknowledged.
func (w *writers) more(t *testing.T, n int64) {
	t.Helper()
	goal := w.acknowledged.Load() + n
	until(t, "the writers go on", func() bool { return w.acknowledged.Load() >= goal || t.Failed() })
}

// end stops the writers and holds the ledger, and what a subscription saw of
// it, to what was acknowledged.
func (w *writers) end(t *testing.T, store *esdb.Store, f *follower) {
	t.Helper()
	w.stop.Store(true)
	w.all.Wait()
	events := storetest.Verify(t, store)
	if int64(len(events)) != w.acknowledged.Load() {
		t.Errorf("%d events for %d acknowledged appends", len(events), w.acknowledged.Load())
	}
	for i, want := range w.revisions {
		newest := int64(-1)
		for e, err := range store.ReadStream(t.Context(), fmt.Sprintf("a-%d", i), eventstore.End, eventstore.Backwards) {
			if err != nil {
				t.Fatal(err)
			}
			newest = e.Revision
			break
		}
		if newest != want {
			t.Errorf("stream %d is at revision %d, %d was acknowledged", i, newest, want)
		}
	}
	f.stop.Store(new(len(events)))
	mustAppend(t, store, "the last", eventstore.NoStream(), storetest.NewDraft("a.x")) // wakes the follower
	<-f.done
	for i := range events {
		if f.seen[i].Position != events[i].Position || f.seen[i].ID != events[i].ID {
			t.Fatalf("the subscription skipped or repeated at position %d", events[i].Position)
		}
	}
	t.Logf("%d appends, %d times unavailable, %d connections", len(events), w.unavailable.Load(), store.State().Connections)
}

// follower reads along while the faults happen.
type follower struct {
	stop atomic.Pointer[int] // how many events to stop at, once that is known
	done chan struct{}
	seen []eventstore.Event // read after done
}

func follow(t *testing.T, store eventstore.Store) *follower {
	f := &follower{done: make(chan struct{})}
	go func() {
		defer close(f.done)
		sub := store.Subscribe(0, eventstore.Filter{})
		defer sub.Close()
		for t.Context().Err() == nil {
			if n := f.stop.Load(); n != nil && len(f.seen) >= *n {
				return
			}
			batch, err := sub.Next(t.Context())
			if err != nil {
				time.Sleep(time.Millisecond)
			}
			f.seen = append(f.seen, batch.Events...)
		}
	}()
	return f
}
