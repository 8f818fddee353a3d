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
	p := &pending{stream: stream, expected: expected, drafts: events, done: make(chan struct{})}
	for i := range events {
		const envelope = 512
		p.size += envelope + len(events[i].Data)
	}
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

var errClosed = fmt.Errorf("%w: the store is closed", eventstore.ErrUnavailable)
