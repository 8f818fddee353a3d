package esdb

import (
	"slices"
	"sort"
	"sync"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
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
	newest eventstore.Position // that this store has appended, or been told of as the head
	looked wire.Position       // of the newest record of the server that was looked at
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
	looked    wire.Position
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
func (t *tail) begin(events []eventstore.Event, low eventstore.Position, looked wire.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seeded, t.low, t.high, t.looked = true, low, low, looked
	t.add(events...)
	t.wake()
}

// see takes note of a record, of all before which it has been looked at, and adds
// what has been found in it and before it, unless it has been added before.
func (t *tail) see(looked wire.Position, events ...eventstore.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if looked.Commit > t.looked.Commit {
		t.looked = looked
	}
	known := sort.Search(len(events), func(i int) bool { return events[i].Position > t.high })
	t.add(events[known:]...)
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
