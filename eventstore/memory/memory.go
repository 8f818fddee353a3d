// Package memory is the engine for the tests of other packages: the whole
// contract of [eventstore.Store], kept in memory and gone with the process.
package memory

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// Store is a ledger in memory. Positions are dense.
type Store struct {
	mu      sync.RWMutex       // guards all below
	events  []eventstore.Event // events[i] has position i+1; elements never change
	streams map[string][]int   // indexes into events, by revision
	ids     map[uuid.UUID]int  // indexes into events
	grown   chan struct{}      // closed, and replaced, when events are added
}

var _ eventstore.Store = (*Store)(nil)

// New returns an empty ledger.
func New() *Store {
	return &Store{
		streams: make(map[string][]int),
		ids:     make(map[uuid.UUID]int),
		grown:   make(chan struct{}),
	}
}

// DensePositions is for [eventstore.Dense].
func (s *Store) DensePositions() bool { return true }

// Append implements [eventstore.Store].
func (s *Store) Append(ctx context.Context, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) (eventstore.Appended, error) {
	if err := ctx.Err(); err != nil {
		return eventstore.Appended{}, err
	}
	if err := eventstore.CheckDrafts(stream, events); err != nil {
		return eventstore.Appended{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.streams[stream]
	head := int64(len(line)) - 1
	if first, repeated, err := eventstore.Admit(stream, head, expected, events, s.lookup); repeated || err != nil {
		return first, err
	}

	var prev eventstore.Hash
	if head >= 0 {
		prev = s.events[line[head]].Hash
	}
	added := make([]eventstore.Event, len(events))
	positions := make([]eventstore.Position, len(events))
	for i, d := range events {
		d.Data = slices.Clone(d.Data)
		e, err := eventstore.SealEvent(d, stream, head+1+int64(i), prev)
		if err != nil {
			return eventstore.Appended{}, err
		}
		e.Position = eventstore.Position(len(s.events) + 1 + i)
		added[i], positions[i], prev = e, e.Position, e.Hash
	}
	for _, e := range added {
		s.streams[stream] = append(s.streams[stream], len(s.events))
		s.ids[e.ID] = len(s.events)
		s.events = append(s.events, e)
	}
	close(s.grown)
	s.grown = make(chan struct{})
	last := added[len(added)-1]
	return eventstore.Appended{Positions: positions, Revision: last.Revision, Hash: last.Hash}, nil
}

// lookup finds an event by its id. The caller holds mu.
func (s *Store) lookup(id uuid.UUID) (eventstore.Event, bool) {
	i, ok := s.ids[id]
	if !ok {
		return eventstore.Event{}, false
	}
	return s.events[i], true
}

// ReadStream implements [eventstore.Store].
func (s *Store) ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		s.mu.RLock()
		events, line := s.events, s.streams[stream]
		s.mu.RUnlock()
		step, last := int64(1), int64(len(line))-1
		if direction == eventstore.Backwards {
			step = -1
			if from == eventstore.End || from > last {
				from = last
			}
		}
		for i := max(from, 0); i >= 0 && i <= last; i += step {
			if err := ctx.Err(); err != nil {
				yield(eventstore.Event{}, err)
				return
			}
			if !yield(events[line[i]], nil) {
				return
			}
		}
	}
}

// ReadAll implements [eventstore.Store].
func (s *Store) ReadAll(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		events, _ := s.snapshot()
		for i := int(min(after, eventstore.Position(len(events)))); i < len(events); i++ {
			if err := ctx.Err(); err != nil {
				yield(eventstore.Event{}, err)
				return
			}
			if filter.Passes(events[i]) && !yield(events[i], nil) {
				return
			}
		}
	}
}

// Newest implements [eventstore.Store].
func (s *Store) Newest(ctx context.Context, n int, filter eventstore.Filter) ([]eventstore.Event, error) {
	events, _ := s.snapshot()
	var newest []eventstore.Event
	for i := len(events) - 1; i >= 0 && len(newest) < n; i-- {
		if filter.Passes(events[i]) {
			newest = append(newest, events[i])
		}
	}
	slices.Reverse(newest)
	return newest, ctx.Err()
}

// Head implements [eventstore.Store].
func (s *Store) Head(ctx context.Context) (eventstore.Position, error) {
	events, _ := s.snapshot()
	return eventstore.Position(len(events)), ctx.Err()
}

// snapshot is all events, and a channel that closes when there are more.
func (s *Store) snapshot() ([]eventstore.Event, <-chan struct{}) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.events, s.grown
}
