package follow

import (
	"context"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
)

// Bounds of what the tail keeps. The older half goes when it exceeds one of them.
const (
	tailEvents = 4096
	tailBytes  = 16 << 20
)

// tail reads the end of the ledger once for all followers of a process:
//
//	store ── line ──▶ low ▒▒▒▒▒▒▒▒▒▒▒▒ high      one read, each event decoded once
//	                      ▲    ▲       ▲
//	                      A    B       C          readers, each at a place of its own
//	       D ──▶                                  has fallen behind, and reads by itself
//
// It waits for nobody: it reads on as soon as the foremost reader asks for more,
// and forgets what is beyond its bounds. A reader that is not that far comes
// back when it has caught up by itself.
type tail struct {
	store  eventstore.Store
	decode func(eventstore.Event) (Event, error)
	hurry  <-chan struct{} // somebody waits for what the tail may have to bring
	lines  sync.WaitGroup

	mu      sync.Mutex // guards what follows, and what readers say that it does
	readers []*reader
	line    *line   // nil while there are no readers
	seeded  bool    // low and high mean something
	items   []*item // what the line has brought of (low, high]
	bytes   int
	low     eventstore.Position
	high    eventstore.Position
	head    eventstore.Position // of the ledger, as far as is known
	faults  int                 // how often the line has failed
	fault   error               // the last time
}

// item is an event that is decoded when somebody wants to know what it says.
type item struct {
	raw   eventstore.Event
	once  sync.Once
	event Event
	err   error
}

// line is a subscription for all readers there are. Readers of other types need
// another one.
type line struct {
	types  []string // none: all
	asked  chan struct{}
	cancel context.CancelFunc
}

func newTail(store eventstore.Store, decode func(eventstore.Event) (Event, error), hurry <-chan struct{}) *tail {
	return &tail{store: store, decode: decode, hurry: hurry}
}

// attach makes a reader that begins after a position.
func (t *tail) attach(f *Follower, after eventstore.Position) *reader {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := newReader(t, f, after)
	if t.line == nil || !covers(t.line.types, f.filter().Types) {
		r.since = t.high // what the tail has by now was read for others
	}
	t.readers = append(t.readers, r)
	t.rewire()
	return r
}

func (t *tail) detach(r *reader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers = slices.DeleteFunc(t.readers, func(other *reader) bool { return other == r })
	t.rewire()
}

// wait returns when nothing is read any more, after the last reader has gone.
func (t *tail) wait() { t.lines.Wait() }

// rewire makes the line fit the readers. The caller holds mu.
func (t *tail) rewire() {
	types := t.wanted()
	if t.line != nil {
		if len(t.readers) > 0 && slices.Equal(types, t.line.types) {
			return
		}
		t.line.cancel()
		t.line = nil
	}
	if len(t.readers) == 0 {
		t.seeded, t.low, t.high = false, 0, 0
		t.items, t.bytes = nil, 0
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &line{types: types, asked: make(chan struct{}, 1), cancel: cancel}
	l.ask() // for those who wait on the line before
	t.line = l
	t.lines.Go(func() { t.read(ctx, l) })
}

// wanted are the types that the readers want; none when one of them wants all.
func (t *tail) wanted() (types []string) {
	for _, r := range t.readers {
		if r.wanted == nil {
			return nil
		}
		types = append(types, r.follower.filter().Types...)
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// covers reports whether one filter passes all that another does.
func covers(types, others []string) bool {
	if len(types) == 0 {
		return true
	}
	return len(others) > 0 && !slices.ContainsFunc(others, func(o string) bool { return !slices.Contains(types, o) })
}

func (l *line) ask() {
	select {
	case l.asked <- struct{}{}:
	default: // asked already
	}
}

// awaited waits until somebody asks for more; false when the line is cut before.
func (l *line) awaited(ctx context.Context) bool {
	select {
	case <-ctx.Done():
	case <-l.asked:
	}
	return ctx.Err() == nil
}

// read serves a line until its context ends: a batch for each time that more is
// asked for. An error is told to those who wait, and does not end the line.
func (t *tail) read(ctx context.Context, l *line) {
	from, err := t.seed(ctx, l)
	for err != nil {
		t.failed(l, err)
		if !l.awaited(ctx) {
			return
		}
		from, err = t.seed(ctx, l)
	}
	subscription := t.store.Subscribe(from, eventstore.Filter{Types: l.types})
	defer subscription.Close()
	for l.awaited(ctx) {
		batch, err := subscription.Next(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			t.failed(l, err)
		default:
			if pace := t.add(l, batch); len(batch.Events) < fullEnough {
				t.pause(ctx, pace)
			}
		}
	}
}

// pause lets events gather that can wait, until somebody waits for one.
func (t *tail) pause(ctx context.Context, d time.Duration) {
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-over.C:
	case <-t.hurry:
	case <-ctx.Done():
	}
}

// seed is where a line begins: where the one before it has come to, or else at
// the ledger's end. What lies before that is for the readers themselves: each of
// them can skip what it does not want.
func (t *tail) seed(ctx context.Context, l *line) (eventstore.Position, error) {
	t.mu.Lock()
	seeded, high := t.seeded, t.high
	t.mu.Unlock()
	if seeded {
		return high, nil
	}
	end, err := eventstore.Reached(ctx, t.store)
	if err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.line == l {
		t.seeded, t.low, t.high, t.head = true, end, end, end
		t.wakeAll()
	}
	return end, nil
}

// add takes a batch of a line. It wakes those readers that want something of it,
// and tells how soon one of them wants the next. The others pass it by; what they
// are waiting for must not wait for long either.
func (t *tail) add(l *line, batch eventstore.Batch) (pace time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.line != l {
		return 0
	}
	pace = defaultPace
	added, types := make([]item, len(batch.Events)), make(map[string]bool)
	for i, e := range batch.Events {
		added[i].raw = e
		t.items = append(t.items, &added[i])
		t.bytes += len(e.Record)
		types[e.Type] = true
	}
	t.high, t.head = max(batch.Position, t.high), max(batch.Head, t.head)
	for _, r := range t.readers {
		switch {
		case r.wantsAny(types):
			r.wake()
			pace = min(pace, r.follower.pace())
		case r.waits:
			r.position = max(t.high, r.position)
			l.ask()
		}
	}
	t.trim()
	return pace
}

// trim forgets what all have taken who read here, and then what is too much. The
// caller holds mu.
func (t *tail) trim() {
	taken := t.high
	for _, r := range t.readers {
		if r.rides() {
			taken = min(taken, r.position)
		}
	}
	if old := t.index(taken); 2*old >= len(t.items) { // else copying the others costs more than it spares
		t.drop(old)
		t.low = max(t.low, taken)
	}
	if len(t.items) > tailEvents || t.bytes > tailBytes {
		half := len(t.items) / 2
		t.low = t.items[half].raw.Position
		t.drop(half + 1)
	}
}

// index is that of the first item after a position.
func (t *tail) index(after eventstore.Position) int {
	return sort.Search(len(t.items), func(i int) bool { return t.items[i].raw.Position > after })
}

func (t *tail) drop(n int) {
	for _, i := range t.items[:n] {
		t.bytes -= len(i.raw.Record)
	}
	t.items = slices.Clone(t.items[n:])
}

func (t *tail) failed(l *line, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.line == l {
		t.faults, t.fault = t.faults+1, err
		t.wakeAll()
	}
}

// wakeAll has all readers look again. The caller holds mu.
func (t *tail) wakeAll() {
	for _, r := range t.readers {
		r.wake()
	}
}
