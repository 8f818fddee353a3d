package postgres

import (
	"context"
	"fmt"

	"github.com/sentryagent/agentidp/eventstore"
)

// Append implements [eventstore.Store]. An append whose ctx ends while it is
// queued is not made; when it ends later the outcome is open, and the same
// append, made again, tells.
func (s *Store) Append(ctx context.Context, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) (eventstore.Appended, error) {
	if err := ctx.Err(); err != nil {
		return eventstore.Appended{}, err
	}
	if err := eventstore.CheckDrafts(stream, events); err != nil {
		return eventstore.Appended{}, err
	}
	p := newPending(stream, expected, events)
	if !s.queue.put(p) {
		return eventstore.Appended{}, errClosed
	}
	select {
	case <-p.done:
		return p.result, p.err
	case <-ctx.Done():
		s.queue.remove(p)
		return eventstore.Appended{}, ctx.Err()
	}
}

func newPending(stream string, expected eventstore.ExpectedRevision, events []eventstore.Draft) *pending {
	p := &pending{stream: stream, expected: expected, drafts: events, done: make(chan struct{})}
	for i := range events {
		const envelope = 512
		p.size += envelope + len(events[i].Data)
	}
	return p
}

// AppendInOrder makes appends whose events get their positions in the order of
// the call, many in one commit. It is for who is alone in writing the ledger: the
// order of a group is that of its commit, and only another writer can break a
// group up. The result has those that were made until the first that was not;
// the error is that one's, as [Store.Append] would return it. When a group was
// not stored as a whole, none after it has been tried.
func (s *Store) AppendInOrder(ctx context.Context, appends []eventstore.StreamAppend) (done []eventstore.Appended, err error) {
	waiting := make([]*pending, len(appends))
	for i, a := range appends {
		if err := eventstore.CheckDrafts(a.Stream, a.Events); err != nil {
			return nil, err
		}
		waiting[i] = newPending(a.Stream, a.Expected, a.Events)
	}
	for len(waiting) > 0 {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		group := waiting[:fitting(waiting)]
		waiting = waiting[len(group):]
		if !s.queue.put(group...) {
			return done, errClosed
		}
		for _, p := range group {
			<-p.done // the writer answers within Options.Timeout
			if err == nil {
				if err = p.err; err == nil {
					done = append(done, p.result)
				}
			}
		}
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

var errClosed = fmt.Errorf("%w: the store is closed", eventstore.ErrUnavailable)
