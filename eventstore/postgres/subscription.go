package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
)

// subscriptionBatch is the most events that Next returns.
const subscriptionBatch = 1000

type subscription struct {
	store    *Store
	filter   eventstore.Filter
	scan     scan
	woken    chan struct{} // holds a token when the listener has news
	position eventstore.Position
	head     eventstore.Position // the newest that is known
	reported bool                // whether the end at position has been reported
	closing  sync.Once
	closed   chan struct{}
}

// Subscribe implements [eventstore.Store].
func (s *Store) Subscribe(after eventstore.Position, filter eventstore.Filter) eventstore.Subscription {
	sub := &subscription{
		store: s, filter: filter, scan: newScan(filter), position: after,
		woken: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	s.listener.add(sub)
	return sub
}

func (s *subscription) Close() {
	s.closing.Do(func() {
		s.store.listener.remove(s)
		close(s.closed)
	})
}

var errSubscriptionClosed = errors.New("the subscription is closed")

func (s *subscription) Next(ctx context.Context) (eventstore.Batch, error) {
	for {
		select {
		case <-s.closed:
			return eventstore.Batch{}, errSubscriptionClosed
		default:
		}
		if err := ctx.Err(); err != nil {
			return eventstore.Batch{}, err
		}
		if s.position < s.head {
			return s.advance(ctx)
		}
		if !s.reported {
			if err := s.look(ctx); err != nil {
				return eventstore.Batch{}, err
			}
			if s.position >= s.head {
				s.reported = true
				return eventstore.Batch{Position: s.position, Head: max(s.head, s.position)}, nil
			}
			continue
		}
		if err := s.wait(ctx); err != nil {
			return eventstore.Batch{}, err
		}
	}
}

// advance reads the next page, which ends before the known head or at it.
func (s *subscription) advance(ctx context.Context) (eventstore.Batch, error) {
	events, through, err := s.scan.page(ctx, s.store.pool, s.position, s.head, subscriptionBatch)
	if err != nil {
		return eventstore.Batch{}, translate(ctx, "read the ledger", err)
	}
	s.position = through
	s.reported = through >= s.head
	return eventstore.Batch{Events: events, Position: through, Head: s.head}, nil
}

// look asks for the ledger's head.
func (s *subscription) look(ctx context.Context) error {
	head, err := s.store.Head(ctx)
	if err == nil {
		s.head = max(s.head, head)
	}
	return err
}

// wait blocks until there may be something after the head that is known.
func (s *subscription) wait(ctx context.Context) error {
	poll := time.NewTimer(s.store.options.PollInterval)
	defer poll.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return errSubscriptionClosed
	case <-s.store.listener.ctx.Done():
		return errClosed
	case <-s.woken:
		// What is notified is visible, so this needs no query.
		if newest := s.store.listener.newest(); newest > s.head {
			s.head = newest
			return nil
		}
	case <-poll.C:
	}
	return s.look(ctx)
}
