package esdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/sentryagent/agentidp/eventstore"
)

// batchSize is the most events that Next returns.
const batchSize = 1000

// subscription serves one consumer: from the tail where that reaches back far
// enough, and by a catch-up of its own until then.
type subscription struct {
	store    *Store
	filter   eventstore.Filter
	position eventstore.Position
	reported bool            // whether the end at position has been reported
	reading  *catchUp        // nil when there is none
	ctx      context.Context // ends with Close and with the store
	cancel   context.CancelFunc
}

// Subscribe implements [eventstore.Store]. A position that no event has is
// allowed, but costs a read from the beginning unless it is near the end.
func (s *Store) Subscribe(after eventstore.Position, filter eventstore.Filter) eventstore.Subscription {
	ctx, cancel := context.WithCancel(s.ctx)
	return &subscription{store: s, filter: filter, position: after, ctx: ctx, cancel: cancel}
}

// Close implements [eventstore.Subscription].
func (s *subscription) Close() { s.cancel() }

// ended is why there is nothing more to come, nil when there is.
func (s *subscription) ended() error {
	switch {
	case s.store.ctx.Err() != nil:
		return errClosed
	case s.ctx.Err() != nil:
		return errSubscriptionClosed
	}
	return nil
}

// Next implements [eventstore.Subscription].
func (s *subscription) Next(ctx context.Context) (eventstore.Batch, error) {
	for {
		if err := s.ended(); err != nil {
			return eventstore.Batch{}, err
		}
		if err := ctx.Err(); err != nil {
			return eventstore.Batch{}, err
		}
		tail := s.store.tail.glimpse()
		switch {
		case !tail.seeded:
		case s.reading != nil || s.position < tail.low:
			return s.catchUp(ctx, tail)
		case s.position < tail.high || !s.reported:
			return s.advance(tail), nil
		}
		if err := s.wait(ctx, tail); err != nil {
			return eventstore.Batch{}, err
		}
	}
}

// advance takes the next batch from the tail.
func (s *subscription) advance(tail glimpse) (batch eventstore.Batch) {
	for _, e := range tail.after(s.position) {
		if len(batch.Events) == batchSize {
			break
		}
		if s.filter.Passes(e) {
			batch.Events = append(batch.Events, e)
		}
		s.position = e.Position
	}
	s.reported = s.position >= tail.high
	batch.Position, batch.Head = s.position, max(tail.head, s.position)
	return batch
}

// catchUp takes the next batch from before the tail. The position moves only
// with what is returned, so that an error leaves no gap.
func (s *subscription) catchUp(ctx context.Context, tail glimpse) (batch eventstore.Batch, err error) {
	if s.reading == nil {
		if s.reading, err = s.store.startCatchUp(ctx, s.ctx, s.position, tail.low, s.filter); err != nil {
			return batch, s.translate(ctx, err)
		}
	}
	for len(batch.Events) < batchSize && s.position < s.reading.until {
		next, err := s.step(ctx, len(batch.Events) == 0)
		if errors.Is(err, errNothingYet) {
			break
		}
		if err != nil {
			if ctx.Err() == nil {
				s.reading.close()
				s.reading = nil
			}
			if len(batch.Events) > 0 {
				break // they go out first
			}
			return batch, s.translate(ctx, err)
		}
		if next.passes {
			batch.Events = append(batch.Events, next.event)
		}
		s.position = max(s.position, next.through)
	}
	if s.reading != nil && s.position >= s.reading.until {
		s.reading.close()
		s.reading = nil
	}
	s.reported = false
	batch.Position, batch.Head = s.position, max(tail.head, s.position)
	return batch, nil
}

func (s *subscription) translate(ctx context.Context, err error) error {
	if ended := s.ended(); ended != nil {
		return ended
	}
	return translate(ctx, "follow the ledger", err)
}

var errNothingYet = errors.New("nothing yet")

// step takes what the catch-up has met next, and waits for it if it is to.
func (s *subscription) step(ctx context.Context, wait bool) (next step, err error) {
	ok := true
	select {
	case next, ok = <-s.reading.steps:
	default:
		if !wait {
			return next, errNothingYet
		}
		select {
		case next, ok = <-s.reading.steps:
		case <-ctx.Done():
			return next, ctx.Err()
		}
	}
	if !ok {
		return next, errDropped
	}
	return next, next.err
}

// wait blocks until there may be something new. While there is no way to know
// it says so.
func (s *subscription) wait(ctx context.Context, tail glimpse) error {
	state, _, changed := s.store.supervisor.current()
	switch {
	case state.Phase == Unavailable:
		return fmt.Errorf("%w: %w", eventstore.ErrUnavailable, errors.Join(state.Err))
	case state.Phase == Connected && tail.failed != nil:
		return fmt.Errorf("%w: %w", eventstore.ErrUnavailable, tail.failed)
	}
	select {
	case <-ctx.Done():
	case <-s.ctx.Done():
	case <-tail.grown:
	case <-changed:
	}
	return nil
}
