package esdb

import (
	"context"
	"slices"
	"sort"
	"sync"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/sentryagent/agentidp/eventstore"
)

// Bounds of the tail. Half of it goes when it exceeds one of them.
const (
	tailEvents = 4096
	tailBytes  = 32 << 20
)

// tail is the newest part of the ledger, kept up to date by one live
// subscription for all who follow it.
type tail struct {
	mu     sync.Mutex // guards what follows
	seeded bool
	events []eventstore.Event // all with positions in (low, high]; elements never change
	bytes  int
	low    eventstore.Position
	high   eventstore.Position // of the newest of them, or low
	newest eventstore.Position // that this store has appended
	looked client.Position     // of the newest event of the server that was looked at
	failed error               // why it is not kept up to date although there is a connection
	grown  chan struct{}       // closed, and replaced, when something was added or failed
}

func newTail() *tail { return &tail{grown: make(chan struct{})} }

// glimpse is the tail at some time.
type glimpse struct {
	seeded    bool
	events    []eventstore.Event
	low, high eventstore.Position
	head      eventstore.Position // the newest there is, as far as is known
	looked    client.Position
	failed    error
	grown     <-chan struct{}
}

func (t *tail) glimpse() glimpse {
	t.mu.Lock()
	defer t.mu.Unlock()
	return glimpse{t.seeded, t.events, t.low, t.high, max(t.high, t.newest), t.looked, t.failed, t.grown}
}

// after is the events after a position that is not before low.
func (g glimpse) after(p eventstore.Position) []eventstore.Event {
	return g.events[sort.Search(len(g.events), func(i int) bool { return g.events[i].Position > p }):]
}

// begin fills an empty tail with events in order, all there are after low.
func (t *tail) begin(events []eventstore.Event, low eventstore.Position, looked client.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seeded, t.low, t.high, t.looked = true, low, low, looked
	t.add(events...)
	t.wake()
}

// see adds what the subscription has brought, an event of the ledger or not,
// unless it has brought that before.
func (t *tail) see(looked client.Position, events ...eventstore.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if looked.Commit > t.looked.Commit {
		t.looked = looked
		t.add(events...)
	}
}

// appended tells of an event that the subscription has yet to bring.
func (t *tail) appended(p eventstore.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.newest = max(t.newest, p)
}

func (t *tail) add(events ...eventstore.Event) {
	if len(events) == 0 {
		return
	}
	for i := range events {
		t.bytes += len(events[i].Record)
	}
	t.events = append(t.events, events...)
	t.high = t.events[len(t.events)-1].Position
	if len(t.events) > tailEvents || t.bytes > tailBytes {
		cut := len(t.events) / 2
		for i := range t.events[:cut] {
			t.bytes -= len(t.events[i].Record)
		}
		t.low = t.events[cut-1].Position
		t.events = slices.Clone(t.events[cut:]) // others may be reading the old one
	}
	t.wake()
}

func (t *tail) wake() {
	close(t.grown)
	t.grown = make(chan struct{})
}

// fail says why the tail is not kept up to date, nil when it is again.
func (t *tail) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = err
	t.wake()
}

// follow keeps the tail up to date until ctx ends.
func (s *Store) follow(ctx context.Context) {
	never := func(State) bool { return false }
	for failures := 0; ctx.Err() == nil; failures++ {
		c, err := s.supervisor.await(ctx, never)
		if err != nil {
			return
		}
		if !s.tail.glimpse().seeded {
			err = s.seed(ctx, c)
		}
		if err == nil {
			before := s.tail.glimpse().looked
			err = s.live(ctx, c)
			if s.tail.glimpse().looked != before {
				failures = 0
			}
		}
		if ctx.Err() != nil || c.isDead() {
			continue // to the next conn
		}
		s.tail.fail(err)
		s.options.Logger.Warn("the subscription to the ledger ended; it will be made again", "error", err)
		pause(ctx, s.options.backoff(failures+1))
	}
}

// live brings the tail what comes after it.
func (s *Store) live(ctx context.Context, c *conn) error {
	sub, err := s.subscribe(ctx, ctx, c, s.tail.glimpse().looked, eventstore.Filter{})
	if err != nil {
		return err
	}
	defer sub.close()
	s.tail.fail(nil)
	for {
		e := sub.receive()
		switch {
		case e.SubscriptionDropped != nil:
			return e.SubscriptionDropped.Error
		case e.CheckPointReached != nil:
			s.tail.see(*e.CheckPointReached)
		case e.EventAppeared != nil:
			at := e.EventAppeared.OriginalEvent().Position
			if event, ok := s.event(e.EventAppeared.OriginalEvent()); ok {
				s.index.add(event)
				s.tail.see(at, event)
			} else {
				s.tail.see(at)
			}
		}
	}
}
