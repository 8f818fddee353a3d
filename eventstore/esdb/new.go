package esdb

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
)

// Reached is for [eventstore.Reached]: what the tail knows, and the head where it
// knows nothing.
func (s *Store) Reached(ctx context.Context) (eventstore.Position, error) {
	state, _, _ := s.supervisor.current()
	tail := s.tail.glimpse()
	switch {
	case state.Phase == Unavailable:
		return 0, fmt.Errorf("%w: %w", eventstore.ErrUnavailable, state.Err)
	case !tail.seeded || tail.failed != nil:
		return s.Head(ctx)
	}
	return tail.head, nil
}

// awaitTail waits for the first look at the ledger's end, or for its failure: it
// may take long on a server that others use, and is not to be made twice.
func (s *Store) awaitTail(ctx context.Context) {
	for {
		state, _, changed := s.supervisor.current()
		tail := s.tail.glimpse()
		if tail.seeded || tail.failed != nil || state.Phase == Unavailable {
			return
		}
		select {
		case <-tail.grown:
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// AtHand is for [eventstore.AtHand].
func (s *Store) AtHand(after eventstore.Position) bool {
	tail := s.tail.glimpse()
	return tail.seeded && after >= tail.low
}

// tailPatience is how long the tail may take to bring what is known to be there
// before it is read. It takes a millisecond, unless its subscription was dropped
// just then.
const tailPatience = 20 * time.Millisecond

// ReadNew is for [eventstore.ReadNew]: from the tail, unless that begins later or
// is late.
func (s *Store) ReadNew(ctx context.Context, after, through eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		tail, has := s.tailThrough(ctx, after, through)
		if !has {
			s.readTo(ctx, after, through, filter, yield)
			return
		}
		for _, e := range tail.after(after) {
			if filter.Passes(e) && !yield(e, nil) {
				return
			}
		}
	}
}

// tailThrough waits for the tail to have all between two positions.
func (s *Store) tailThrough(ctx context.Context, after, through eventstore.Position) (tail glimpse, has bool) {
	var late <-chan time.Time
	for {
		tail = s.tail.glimpse()
		switch {
		case !tail.seeded || after < tail.low:
			return tail, false
		case tail.high >= through:
			return tail, true
		case late == nil:
			timer := time.NewTimer(tailPatience)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-tail.grown:
		case <-late:
			return tail, false
		case <-ctx.Done():
			return tail, false
		}
	}
}
