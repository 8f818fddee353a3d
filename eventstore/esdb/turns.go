package esdb

import (
	"context"
	"sync"

	"github.com/sentryagent/agentidp/eventstore"
)

// turns lets the appends of this store to one stream take turns, so that they do not
// conflict with each other. Streams do not hold each other up.
type turns struct {
	closing chan struct{} // closed when nobody gets a turn any more

	mu      sync.Mutex // guards what follows
	streams map[string]*turn
	closed  bool
	taken   sync.WaitGroup
}

// turn is that of one stream.
type turn struct {
	free  chan struct{} // holds a token while nobody has the turn
	users int           // who have it or wait for it
}

func newTurns() *turns {
	return &turns{closing: make(chan struct{}), streams: map[string]*turn{}}
}

// take waits for the turn of a stream. The error is the context's, or errClosed.
func (t *turns) take(ctx context.Context, stream string) (*turn, error) {
	of := t.enter(stream)
	select {
	case <-of.free:
	case <-ctx.Done():
		t.leave(stream, of)
		return nil, ctx.Err()
	case <-t.closing:
		t.leave(stream, of)
		return nil, errClosed
	}
	if !t.count() {
		of.free <- struct{}{}
		t.leave(stream, of)
		return nil, errClosed
	}
	return of, nil
}

// give lets the next one have the turn.
func (t *turns) give(stream string, of *turn) {
	of.free <- struct{}{}
	t.leave(stream, of)
	t.taken.Done()
}

// count counts a turn that was taken, unless nobody gets one any more.
func (t *turns) count() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.taken.Add(1)
	}
	return !t.closed
}

func (t *turns) enter(stream string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.streams[stream]
	if of == nil {
		of = &turn{free: make(chan struct{}, 1)}
		of.free <- struct{}{}
		t.streams[stream] = of
	}
	of.users++
	return of
}

func (t *turns) leave(stream string, of *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if of.users--; of.users == 0 {
		delete(t.streams, stream)
	}
}

// close refuses all who wait and all who come, and waits for those who have a turn.
func (t *turns) close() {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.closing)
	}
	t.mu.Unlock()
	t.taken.Wait()
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
	turn, err := s.turns.take(ctx, stream)
	if err != nil {
		return eventstore.Appended{}, err
	}
	var result eventstore.Appended
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.turns.give(stream, turn)
		result, err = s.write(stream, expected, events)
	}()
	select {
	case <-done:
		return result, err
	case <-ctx.Done():
		return eventstore.Appended{}, ctx.Err()
	}
}
