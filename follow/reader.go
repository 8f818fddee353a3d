package follow

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
)

// batchSize is how many events a reader's step has at most.
const batchSize = 1000

// reader is one follower's way through the ledger: along the [tail] where that
// has what it wants, else by a subscription of its own. Next is for one goroutine.
type reader struct {
	tail     *tail
	follower *Follower
	wanted   map[string]bool // nil: all
	own      eventstore.Subscription

	// The tail's mu guards these.
	position eventstore.Position // all that it wants up to here has been handed out
	since    eventstore.Position // after this the tail has what it wants
	told     bool                // the follower knows of the position
	waits    bool                // at the end of the tail, and not woken yet: position may move on without it
	woken    chan struct{}       // holds a token when there is something for it
}

// idleReport is how often a follower hears that there was nothing for it.
const idleReport = time.Second

func newReader(t *tail, f *Follower, after eventstore.Position) *reader {
	r := &reader{tail: t, follower: f, position: after, woken: make(chan struct{}, 1)}
	if len(f.Types) > 0 {
		r.wanted = make(map[string]bool, len(f.Types))
		for _, eventType := range f.Types {
			r.wanted[string(eventType)] = true
		}
	}
	return r
}

// stretch is a piece of the ledger, as [eventstore.Batch].
type stretch struct {
	items    []*item
	position eventstore.Position
	head     eventstore.Position
}

// next blocks until there are wanted events, or it is known, for a while at most,
// that there are none up to a position. After an error it goes on where it was.
func (r *reader) next(ctx context.Context) (stretch, error) {
	t := r.tail
	quiet := time.NewTimer(idleReport)
	defer quiet.Stop()
	t.mu.Lock()
	due, faults := !r.told, t.faults
	for {
		switch {
		case t.faults != faults:
			err := t.fault
			t.mu.Unlock()
			return stretch{}, err
		case !t.seeded: // nothing is known yet
		case !r.rides():
			t.mu.Unlock()
			return r.alone(ctx)
		case due || r.position < t.high:
			s := r.take()
			t.mu.Unlock()
			r.close()
			return s, nil
		}
		r.waits = true
		t.line.ask()
		t.mu.Unlock()
		select {
		case <-r.woken:
		case <-quiet.C:
			due = true
		case <-ctx.Done():
		}
		t.mu.Lock()
		r.waits = false
		if err := ctx.Err(); err != nil {
			t.mu.Unlock()
			return stretch{}, err
		}
	}
}

// wantsAny reports whether there is something for it among events of these types.
func (r *reader) wantsAny(types map[string]bool) bool {
	if r.wanted == nil {
		return len(types) > 0
	}
	for t := range types {
		if r.wanted[t] {
			return true
		}
	}
	return false
}

// wake has it look. The caller holds the tail's mu.
func (r *reader) wake() {
	r.waits = false
	select {
	case r.woken <- struct{}{}:
	default: // it has not looked yet
	}
}

// rides reports whether the tail has all that comes next. The caller holds the
// tail's mu.
func (r *reader) rides() bool { return r.tail.seeded && r.position >= max(r.tail.low, r.since) }

// take hands out what the tail has. The caller holds its mu.
func (r *reader) take() (s stretch) {
	t := r.tail
	s.position, s.head = max(t.high, r.position), t.head
	for _, i := range t.items[t.index(r.position):] {
		if r.wanted != nil && !r.wanted[i.raw.Type] {
			continue
		}
		s.items = append(s.items, i)
		if len(s.items) == batchSize {
			s.position = i.raw.Position
			break
		}
	}
	r.position, r.told = s.position, true
	return s
}

// alone reads on by itself.
func (r *reader) alone(ctx context.Context) (s stretch, err error) {
	if r.own == nil {
		r.own = r.tail.store.Subscribe(r.position, r.follower.filter())
	}
	batch, err := r.own.Next(ctx)
	if err != nil {
		return s, err
	}
	own := make([]item, len(batch.Events))
	for i, e := range batch.Events {
		own[i].raw = e
		s.items = append(s.items, &own[i])
	}
	s.position, s.head = batch.Position, batch.Head
	r.tail.mu.Lock()
	defer r.tail.mu.Unlock()
	r.position = batch.Position
	return s, nil
}

// close ends what it reads by itself.
func (r *reader) close() {
	if r.own != nil {
		r.own.Close()
		r.own = nil
	}
}

// event is an item as the follower wants it.
func (r *reader) event(i *item) (Event, error) {
	if r.follower.Undecoded {
		return Undecoded(i.raw), nil
	}
	i.once.Do(func() { i.event, i.err = r.tail.decode(i.raw) })
	return i.event, i.err
}

// events are items as the follower wants them, up to the first that cannot be read.
func (r *reader) events(items []*item) ([]Event, *PoisonError) {
	events := make([]Event, 0, len(items))
	for _, i := range items {
		e, err := r.event(i)
		if err != nil {
			return events, &PoisonError{Position: i.raw.Position, Cause: err}
		}
		events = append(events, e)
	}
	return events, nil
}
