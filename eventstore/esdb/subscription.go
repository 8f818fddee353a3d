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
// enough, and by a history of its own until then.
type subscription struct {
	store    *Store
	filter   eventstore.Filter
	position eventstore.Position
	reported bool                // whether the end at position has been reported
	reading  *reading            // nil when there is none
	pending  []eventstore.Event  // that it has brought, and that are not looked at yet
	until    eventstore.Position // where it ends
	ctx      context.Context     // ends with Close and with the store
	cancel   context.CancelFunc
}

// Subscribe implements [eventstore.Store]. A position that no event has is
// allowed.
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
			if batch, err := s.catchUp(ctx, tail); err != nil || batch.Position > 0 {
				return batch, err
			}
			continue
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

// catchUp takes the next batch from before the tail; one without a position is
// none. The position moves only with what is returned, so that an error leaves no
// gap, and only to events of the ledger: what else is in the log may be taken out
// of it by others.
func (s *subscription) catchUp(ctx context.Context, tail glimpse) (batch eventstore.Batch, err error) {
	if s.reading == nil {
		goal := tail.low
		s.until, s.reading = goal, s.store.read(s.ctx, s.position, func() eventstore.Position { return goal })
	}
	for len(s.pending) == 0 {
		p, more := s.reading.take(ctx)
		if ctx.Err() != nil {
			return batch, s.translate(ctx, ctx.Err())
		}
		if !more || p.err != nil {
			s.stop()
			if p.err == nil {
				s.position = max(s.position, s.until)
			}
			return batch, s.translate(ctx, p.err)
		}
		s.pending = p.events
	}
	n := 0
	for ; n < len(s.pending) && len(batch.Events) < batchSize; n++ {
		if e := s.pending[n]; s.filter.Passes(e) {
			batch.Events = append(batch.Events, e)
		}
		s.position = s.pending[n].Position
	}
	if s.pending = s.pending[n:]; s.position >= s.until && len(s.pending) == 0 {
		s.stop()
	}
	s.reported = false
	batch.Position, batch.Head = s.position, max(tail.head, s.position)
	return batch, nil
}

func (s *subscription) stop() {
	s.reading.close()
	s.reading, s.pending = nil, nil
}

func (s *subscription) translate(ctx context.Context, err error) error {
	if ended := s.ended(); ended != nil {
		return ended
	}
	return translate(ctx, "follow the ledger", err)
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
