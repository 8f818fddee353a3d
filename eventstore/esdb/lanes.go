package esdb

import (
	"context"
	"slices"
	"sync"

	"github.com/sentryagent/agentidp/eventstore"
)

// Bounds of what is written at once. The server's own bound is one MiB.
const (
	maxBatchEvents = 256
	maxWrite       = 1<<20 - 4<<10
)

// pending is an append between its caller and the lane of its stream.
type pending struct {
	expected eventstore.ExpectedRevision
	drafts   []eventstore.Draft
	outcome  outcome       // set before done is closed
	done     chan struct{} // closed when there is an outcome
}

type outcome struct {
	result eventstore.Appended
	err    error
}

func answer(batch []*pending, err error) {
	for _, p := range batch {
		p.outcome.err = err
		close(p.done)
	}
}

// lanes are where appends wait: one for each stream that is being written, so
// that streams do not hold each other up and a stream's appends of this store
// do not conflict with each other.
type lanes struct {
	mu     sync.Mutex // guards what follows
	open   map[string][]*pending
	closed bool
	busy   sync.WaitGroup // goroutines, one for each open lane
}

func newLanes() *lanes { return &lanes{open: map[string][]*pending{}} }

// put adds an append to the end of its lane, which work begins to empty if
// nobody does. It is false when the lanes are closed.
func (l *lanes) put(stream string, p *pending, work func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	waiting, open := l.open[stream]
	l.open[stream] = append(waiting, p)
	if !open {
		l.busy.Go(work)
	}
	return true
}

// take is what to write next; nothing closes the lane.
func (l *lanes) take(stream string) []*pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.open[stream]
	if len(waiting) == 0 {
		delete(l.open, stream)
		return nil
	}
	n, events := 0, 0
	for _, p := range waiting {
		events += len(p.drafts)
		if n > 0 && events > maxBatchEvents {
			break
		}
		n++
	}
	batch := slices.Clone(waiting[:n])
	l.open[stream] = slices.Delete(waiting, 0, n)
	return batch
}

// remove takes an append back, unless it is being written.
func (l *lanes) remove(stream string, p *pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.open[stream], p); i >= 0 {
		l.open[stream] = slices.Delete(l.open[stream], i, i+1)
	}
}

// close lets nobody in any more, waits for what is being written, and returns
// those who waited.
func (l *lanes) close() (left []*pending) {
	l.mu.Lock()
	l.closed = true
	for stream, waiting := range l.open {
		left = append(left, waiting...)
		l.open[stream] = nil
	}
	l.mu.Unlock()
	l.busy.Wait()
	return left
}

// Append implements [eventstore.Store]. An append whose ctx ends while it
// waits for its turn is not made; when it ends later the outcome is open, and
// the same append, made again, tells.
func (s *Store) Append(ctx context.Context, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) (eventstore.Appended, error) {
	if err := ctx.Err(); err != nil {
		return eventstore.Appended{}, err
	}
	if err := s.check(stream, events); err != nil {
		return eventstore.Appended{}, err
	}
	p := &pending{expected: expected, drafts: events, done: make(chan struct{})}
	if !s.lanes.put(stream, p, func() { s.empty(stream) }) {
		return eventstore.Appended{}, errClosed
	}
	select {
	case <-p.done:
		return p.outcome.result, p.outcome.err
	case <-ctx.Done():
		s.lanes.remove(stream, p)
		return eventstore.Appended{}, ctx.Err()
	}
}

// empty writes what waits in a lane until nothing does.
func (s *Store) empty(stream string) {
	for batch := s.lanes.take(stream); batch != nil; batch = s.lanes.take(stream) {
		s.write(stream, batch)
	}
}
