package follow

import (
	"sync"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
)

// tracker is what this process knows of one follower's place, wherever it
// runs. What is known may be less than what is, never more.
type tracker struct {
	follower *Follower

	mu       sync.Mutex          // guards what follows
	position eventstore.Position // every wanted event up to here is applied
	resume   eventstore.Position // the same, and a position that the ledger has given out
	furthest eventstore.Position // where it ever was
	advanced time.Time           // when it came there
	next     moment              // of the first wanted event that was not applied when last looked
	halted   bool
	reason   string         // why it halted
	led      bool           // by a worker of this process
	term     int            // changes when what was known no longer counts
	changed  chan struct{}  // closed, and replaced, at each change
	version  int            // stored; 0: unknown
	idle     time.Duration  // of the stored place, as of the last look
	rebuild  *RebuildStatus // nil: none is under way
}

// moment is where and when an event was recorded; zero for none.
type moment struct {
	position eventstore.Position
	recorded time.Time
}

func newTracker(f *Follower) *tracker {
	return &tracker{follower: f, changed: make(chan struct{})}
}

// found takes what is stored besides the place.
func (t *tracker) found(c storedPlace) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.version, t.rebuild, t.idle = c.version, c.rebuild, c.idle
}

// set moves to a position, also backwards. The caller holds mu.
func (t *tracker) set(position, resume eventstore.Position) {
	if position == t.position && resume == t.resume {
		return
	}
	t.position, t.resume = position, resume
	if position > t.furthest {
		t.furthest, t.advanced = position, time.Now()
	}
	t.announce()
}

// announce wakes who waits. The caller holds mu.
func (t *tracker) announce() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *tracker) setHalted(halted bool, reason string) {
	if halted != t.halted {
		t.halted, t.reason = halted, reason
		t.announce()
	}
}

// lead begins a term of a local worker, which starts at its checkpoint.
func (t *tracker) lead(position eventstore.Position) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.led = true
	t.term++
	t.set(position, position)
	return t.term
}

// reached reports false when the term is over.
func (t *tracker) reached(term int, position eventstore.Position) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if term != t.term {
		return false
	}
	t.setHalted(false, "")
	t.set(max(position, t.position), max(position, t.resume))
	return true
}

func (t *tracker) halt(term int, position eventstore.Position, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if term == t.term {
		t.set(max(position, t.position), max(position, t.resume))
		t.setHalted(true, reason)
	}
}

// resign ends a term. Unless the worker has halted in good order, what it knew
// is forgotten: the database may just have crashed and lost what was written
// without waiting for the disk.
func (t *tracker) resign(term int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if term != t.term {
		return
	}
	t.led = false
	t.term++
	if !t.halted {
		t.set(0, 0)
	}
}

// forget is resign for everybody: nothing that was known counts any more, and
// a local worker learns from reached that it must start over.
func (t *tracker) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.led = false
	t.term++
	t.set(0, 0)
}

// hear takes what another process announced after its commit.
func (t *tracker) hear(a announcement) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.led || a.version < t.follower.Version {
		return // we know better, or it is about tables that are to be replaced
	}
	t.set(max(a.position, t.position), max(a.position, t.resume))
	t.setHalted(a.halted, "")
}

// glimpse is a tracker at a moment, the start of a look at the database.
type glimpse struct {
	position, resume eventstore.Position
	halted, led      bool
	reason           string
	term             int
	version          int
	rebuild          *RebuildStatus
	next             moment
	advanced         time.Time
	idle             time.Duration
}

func (t *tracker) glimpse() glimpse {
	t.mu.Lock()
	defer t.mu.Unlock()
	return glimpse{t.position, t.resume, t.halted, t.led, t.reason, t.term, t.version, t.rebuild, t.next, t.advanced, t.idle}
}

// behind is how old the next event is, if it has not been applied since.
func (g glimpse) behind(now time.Time) time.Duration {
	if g.next.position <= g.position {
		return 0
	}
	return max(0, now.Sub(g.next.recorded))
}

// stalled: it has applied nothing for a while, although there is something that
// old to apply. One that catches up is not: it moves.
func (g glimpse) stalled(now time.Time, patience time.Duration) bool {
	return !g.halted && g.behind(now) > patience && now.Sub(g.advanced) > patience
}

// expect notes what is to be applied next.
func (t *tracker) expect(next moment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = next
}

// learn takes what a look at the database has shown: the place, and state as
// stored. It reports whether the place has changed.
func (t *tracker) learn(since glimpse, position, resume eventstore.Position, halted bool, reason string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.term != since.term {
		return false
	}
	before := t.position
	if t.led || t.position != since.position { // moved on meanwhile
		position, resume = max(position, t.position), max(resume, t.resume)
	}
	t.set(position, resume)
	if !t.led {
		t.setHalted(halted, reason)
	}
	return t.position != before
}
