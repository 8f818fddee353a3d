package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// Follow reads a subscription until it has looked at everything up to a
// position, and holds each batch to the contract.
func Follow(t testing.TB, sub eventstore.Subscription, until eventstore.Position) (events []eventstore.Event) {
	t.Helper()
	ctx := within(t)
	var last eventstore.Position
	for last < until {
		batch, err := sub.Next(ctx)
		if err != nil {
			t.Errorf("Next, having reached %d of %d: %v", last, until, err)
			return events
		}
		if batch.Position < last || batch.Head < batch.Position || len(batch.Events) > 1000 {
			t.Errorf("a batch of %d events up to %d of %d after one up to %d", len(batch.Events), batch.Position, batch.Head, last)
		}
		for _, e := range batch.Events {
			if e.Position <= last || e.Position > batch.Position {
				t.Errorf("position %d in a batch from %d to %d", e.Position, last, batch.Position)
			}
			last = e.Position
		}
		last = batch.Position
		events = append(events, batch.Events...)
	}
	return events
}

func aSubscriptionNeitherSkipsNorRepeats(t *testing.T, s eventstore.Store) {
	const writers, rounds = 32, 20
	mustAppend(t, s, "a-0", noStream, drafts("a.x", "a.y")...)
	filters := []eventstore.Filter{{}, {Types: []string{"a.y"}}, {Types: []string{"token.issued", "a.x"}}}
	var target atomic.Uint64 // the position to follow to, 0 while it is open
	got := make([][]eventstore.Event, len(filters))
	reached := make([]eventstore.Position, len(filters))
	var followers, all sync.WaitGroup
	for i, filter := range filters {
		followers.Go(func() {
			sub := s.Subscribe(0, filter)
			defer sub.Close()
			ctx := within(t)
			for end := eventstore.Position(0); end == 0 || reached[i] < end; end = eventstore.Position(target.Load()) {
				batch, err := sub.Next(ctx)
				if err != nil {
					t.Errorf("Next, having reached %d: %v", reached[i], err)
					return
				}
				got[i], reached[i] = append(got[i], batch.Events...), batch.Position
			}
		})
	}
	for i := range writers {
		all.Go(func() {
			for n := range rounds {
				kind := []string{"a.x", "a.y", "token.issued"}[(i+n)%3]
				if _, err := s.Append(t.Context(), fmt.Sprintf("b-%d", i), eventstore.Exactly(int64(n)-1), NewDraft(kind)); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
	}
	all.Wait()
	head, err := s.Head(within(t))
	if err != nil {
		t.Fatalf("Head: %v", err)
	}
	target.Store(uint64(head))
	mustAppend(t, s, "a-0", anyState, drafts("a.x", "a.y", "token.issued")...) // wakes who has got there already
	followers.Wait()
	events := Verify(t, s)
	for i, filter := range filters {
		var want []uuid.UUID
		for _, e := range events {
			if filter.Passes(e) && e.Position <= reached[i] {
				want = append(want, e.ID)
			}
		}
		if reached[i] < head || !slices.Equal(idsOf(got[i]), want) {
			t.Errorf("filter %v delivered %d events up to %d, want %d in ledger order", filter.Types, len(got[i]), reached[i], len(want))
		}
	}
}

func aSubscriptionResumes(t *testing.T, s eventstore.Store) {
	mustAppend(t, s, "a-1", noStream, drafts(slices.Repeat([]string{"a.x"}, 30)...)...)
	all := All(t, s)
	end := all[len(all)-1].Position
	for _, from := range []int{1, 15, 29} {
		sub := s.Subscribe(all[from-1].Position, eventstore.Filter{})
		got := Follow(t, sub, end)
		sub.Close()
		if !slices.Equal(idsOf(got), idsOf(all[from:])) {
			t.Errorf("resumed after %d events: %d events, want %d", from, len(got), len(all)-from)
		}
	}
}

func anIdleFilterStillAdvances(t *testing.T, s eventstore.Store) {
	sub := s.Subscribe(0, eventstore.Filter{Types: []string{"a.rare"}})
	defer sub.Close()
	for range 3 {
		appended := mustAppend(t, s, "a-1", anyState, drafts("a.x", "token.issued")...)
		if got := Follow(t, sub, appended.Position()); len(got) != 0 {
			t.Errorf("%d events passed the filter, want none", len(got))
		}
	}
	appended := mustAppend(t, s, "a-1", anyState, NewDraft("a.rare"))
	if got := Follow(t, sub, appended.Position()); len(got) != 1 {
		t.Errorf("%d events passed the filter, want 1", len(got))
	}
}

func aBatchIsBounded(t *testing.T, s eventstore.Store) {
	for range 3 {
		mustAppend(t, s, "a-1", anyState, drafts(slices.Repeat([]string{"a.x"}, 500)...)...)
	}
	for _, filter := range []eventstore.Filter{{}, {Types: []string{"a.x"}}, {Types: []string{"a.x", "token.issued"}}} {
		sub := s.Subscribe(0, filter)
		batch, err := sub.Next(within(t))
		if err != nil || len(batch.Events) != 1000 || batch.Head <= batch.Position {
			t.Errorf("first batch: %d events up to %d of %d, %v, want 1000", len(batch.Events), batch.Position, batch.Head, err)
		}
		if rest := Follow(t, sub, batch.Head); len(rest) != 500 {
			t.Errorf("then %d events, want 500", len(rest))
		}
		sub.Close()
	}
}

func nextEndsWithItsContext(t *testing.T, s eventstore.Store) {
	mustAppend(t, s, "a-1", noStream, NewDraft("a.x"))
	sub := s.Subscribe(0, eventstore.Filter{})
	Follow(t, sub, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for {
		_, err := sub.Next(ctx)
		if err == nil {
			continue // the end may be reported once more
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next = %v, want context.DeadlineExceeded", err)
		}
		break
	}
	appended := mustAppend(t, s, "a-1", eventstore.Exactly(0), NewDraft("a.x"))
	if got := Follow(t, sub, appended.Position()); len(got) != 1 || got[0].Revision != 1 {
		t.Errorf("after the timeout: %d events, want the second one", len(got))
	}
	sub.Close()
	sub.Close()
	if _, err := sub.Next(within(t)); err == nil {
		t.Error("Next of a closed subscription: no error")
	}
}
