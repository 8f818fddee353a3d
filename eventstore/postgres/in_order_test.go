package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// inOrder is appends of one or two events to streams by turns.
func inOrder(count int) (appends []eventstore.StreamAppend) {
	const streams = 7
	heads := make([]int64, streams)
	for i := range count {
		events := []eventstore.Draft{storetest.NewDraft("a.x"), storetest.NewDraft("a.y")}[:1+i%2]
		stream := i % streams
		appends = append(appends, eventstore.StreamAppend{
			Stream: fmt.Sprintf("a-%d", stream), Expected: eventstore.Exactly(heads[stream] - 1), Events: events,
		})
		heads[stream] += int64(len(events))
	}
	return appends
}

func TestAppendInOrderKeepsTheOrderOverGroups(t *testing.T) {
	t.Parallel()
	store := newStore(t, newDatabase(t).ServerURL, postgres.Options{})
	appends := inOrder(1500)
	for range 2 { // the second time they are a repetition
		done, err := store.AppendInOrder(t.Context(), appends)
		if err != nil || len(done) != len(appends) {
			t.Fatalf("AppendInOrder made %d of %d appends: %v", len(done), len(appends), err)
		}
		position := eventstore.Position(0)
		for i, a := range done {
			for _, at := range a.Positions {
				if position++; at != position {
					t.Fatalf("append %d is at positions %v, want %d there", i, a.Positions, position)
				}
			}
		}
	}
	verifyDense(t, store)
}

func TestAppendInOrderEndsWithWhatIsRefused(t *testing.T) {
	t.Parallel()
	store := newStore(t, newDatabase(t).ServerURL, postgres.Options{})
	appends := inOrder(1500)
	const bad = 100
	appends[bad].Expected = eventstore.Exactly(77)
	done, err := store.AppendInOrder(t.Context(), appends)
	var conflict *eventstore.ConflictError
	if !errors.As(err, &conflict) || conflict.Expected != 77 || len(done) != bad {
		t.Errorf("AppendInOrder made %d appends, %v; want %d and the conflict", len(done), err, bad)
	}
	head, err := store.Head(t.Context())
	if err != nil || head > 512 {
		t.Errorf("Head = %d, %v: groups were tried after the one that was refused", head, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if done, err := store.AppendInOrder(ended, appends); len(done) > 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("AppendInOrder with an ended context = %v, %v", done, err)
	}
	store.Close()
	if _, err := store.AppendInOrder(t.Context(), appends); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("AppendInOrder of a closed store = %v, want ErrUnavailable", err)
	}
}
