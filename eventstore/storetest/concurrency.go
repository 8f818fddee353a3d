package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/sentryagent/agentidp/eventstore"
)

func oneRevisionIsWonOnce(t *testing.T, s eventstore.Store) {
	const writers, rounds = 64, 10
	var mu sync.Mutex // guards wins
	wins := make(map[int64]int)
	var all sync.WaitGroup
	ctx := within(t)
	for range writers {
		all.Go(func() {
			at := int64(-1)
			for range rounds {
				appended, err := s.Append(ctx, "a-1", eventstore.Exactly(at), NewDraft("a.x"))
				var conflict *eventstore.ConflictError
				switch {
				case errors.As(err, &conflict):
					if conflict.Actual <= at {
						t.Errorf("a conflict at revision %d, where %d was expected", conflict.Actual, at)
						return
					}
					at = conflict.Actual
					continue
				case err != nil:
					t.Errorf("Append: %v", err)
					return
				}
				if appended.Revision != at+1 {
					t.Errorf("an append at %d made revision %d", at, appended.Revision)
				}
				at = appended.Revision
				mu.Lock()
				wins[appended.Revision]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	events := Verify(t, s)
	if len(events) != len(wins) || len(events) < rounds {
		t.Errorf("%d events for %d won revisions, at least %d expected", len(events), len(wins), rounds)
	}
	for revision, n := range wins {
		if n != 1 {
			t.Errorf("revision %d was won %d times", revision, n)
		}
	}
}

func streamsDoNotHinderEachOther(t *testing.T, s eventstore.Store) {
	const writers, rounds = 64, 10
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for n := range rounds {
				stream := fmt.Sprintf("a-%d", i)
				appended, err := s.Append(t.Context(), stream, eventstore.Exactly(int64(n)-1), NewDraft("a.x"))
				if err != nil || appended.Revision != int64(n) {
					t.Errorf("Append %d to %s = revision %d, %v", n, stream, appended.Revision, err)
					return
				}
				// What must fail amid the others fails alone.
				var conflict *eventstore.ConflictError
				if _, err := s.Append(t.Context(), stream, noStream, NewDraft("a.x")); !errors.As(err, &conflict) {
					t.Errorf("Append to %s expecting no stream = %v, want a conflict", stream, err)
				}
				again := NewDraft("a.x")
				again.ID = readFirstID(t, s, stream)
				if _, err := s.Append(t.Context(), stream+"-other", noStream, again); !errors.Is(err, eventstore.ErrDuplicateID) {
					t.Errorf("Append of a known id = %v, want ErrDuplicateID", err)
				}
			}
		})
	}
	all.Wait()
	if got := len(Verify(t, s)); got != writers*rounds {
		t.Errorf("%d events, want %d", got, writers*rounds)
	}
}

func readFirstID(t *testing.T, s eventstore.Store, stream string) (id [16]byte) {
	for e, err := range s.ReadStream(t.Context(), stream, 0, eventstore.Forwards) {
		if err != nil {
			t.Errorf("ReadStream: %v", err)
		}
		return e.ID
	}
	return id
}
