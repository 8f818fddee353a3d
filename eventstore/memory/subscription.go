package memory

import (
	"context"
	"errors"
	"sync"

	"github.com/sentryagent/agentidp/eventstore"
)

// batchSize is the most events that Next returns.
const batchSize = 1000

type subscription struct {
	store    *Store
	filter   eventstore.Filter
	position eventstore.Position
	reported bool // whether the end at position has been reported
	closing  sync.Once
	closed   chan struct{}
}

// Subscribe implements [eventstore.Store].
func (s *Store) Subscribe(after eventstore.Position, filter eventstore.Filter) eventstore.Subscription {
	return &subscription{store: s, filter: filter, position: after, closed: make(chan struct{})}
}

func (s *subscription) Close() { s.closing.Do(func() { close(s.closed) }) }

func (s *subscription) Next(ctx context.Context) (eventstore.Batch, error) {
	for {
		if err := ctx.Err(); err != nil {
			return eventstore.Batch{}, err
		}
		select {
		case <-s.closed:
			return eventstore.Batch{}, errors.New("the subscription is closed")
		default:
		}
		events, grown := s.store.snapshot()
		head := eventstore.Position(len(events))
		if s.position < head || !s.reported {
			return s.advance(events, head), nil
		}
		select {
		case <-ctx.Done():
		case <-s.closed:
		case <-grown:
		}
	}
}

func (s *subscription) advance(events []eventstore.Event, head eventstore.Position) eventstore.Batch {
	batch := eventstore.Batch{Head: max(head, s.position)}
	for s.position < head && len(batch.Events) < batchSize {
		if e := events[s.position]; s.filter.Passes(e) {
			batch.Events = append(batch.Events, e)
		}
		s.position++
	}
	s.reported = s.position >= head
	batch.Position = s.position
	return batch
}
