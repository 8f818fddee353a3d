package limits

import (
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// remembered is how many windows and how many counters a node keeps. Who has
// not been seen for longest is forgotten first.
const remembered = 50_000

// local is what one node has counted itself, whoever decided: it bounds what
// the node lets through while Redis is away, and what Redis is told when it
// is back.
type local struct {
	mu       sync.Mutex // guards all below
	windows  *simplelru.LRU[string, *hits]
	counters *simplelru.LRU[string, *tally]
}

// hits are those of one window, by part, oldest first.
type hits []partHits

type partHits struct {
	part  int64
	count int
}

// tally is one counter as this node knows it.
type tally struct {
	Counter     // as it was asked for first; its backlog grows
	shared  int // the highest count that Redis or a Floor gave
}

func newTally(c Counter) *tally {
	c.backlog = 0
	return &tally{Counter: c}
}

func (t *tally) count() int { return t.shared + t.backlog }

func (t *tally) raise(count int) { t.shared = max(t.shared, count-t.backlog) }

func newLocal() *local {
	windows, err := simplelru.NewLRU[string, *hits](remembered, nil)
	if err != nil {
		panic(err) // the size is constant
	}
	counters, err := simplelru.NewLRU[string, *tally](remembered, nil)
	if err != nil {
		panic(err)
	}
	return &local{windows: windows, counters: counters}
}

// take decides by this node's own count alone.
func (l *local) take(now time.Time, d Demand) (Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range d.Counters {
		if c.Floor == Unknown && l.tallyOf(c) == nil {
			return Outcome{}, ErrUncounted
		}
	}
	outcome := l.look(now, d.Windows)
	if !d.Look && outcome.FullWindow < 0 {
		l.hit(now, d.Windows)
		for i := range outcome.Windows {
			outcome.Windows[i].Count++
		}
	}
	outcome.Counts = make([]int, len(d.Counters))
	tallies := make([]*tally, len(d.Counters))
	for i, c := range d.Counters {
		if d.Look {
			tallies[i] = l.seen(c)
		} else {
			tallies[i] = l.raise(c, c.Floor)
		}
		outcome.Counts[i] = tallies[i].count()
		if outcome.FullCounter < 0 && full(outcome.Counts[i], c.Max) {
			outcome.FullCounter = i
		}
	}
	if !d.Look && outcome.Passed() {
		for i, t := range tallies {
			t.backlog++
			outcome.Counts[i]++
		}
	}
	return outcome, nil
}

// spent looks whether this node alone has let through all that a window
// allows: then nobody else need be asked.
func (l *local) spent(now time.Time, windows []Window) (Outcome, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range windows {
		if full(l.stand(now, w).Count, w.Max) {
			return l.look(now, windows), true
		}
	}
	return Outcome{}, false
}

// look tells how windows stand. The caller holds mu.
func (l *local) look(now time.Time, windows []Window) Outcome {
	outcome := Outcome{FullWindow: -1, FullCounter: -1, Windows: make([]State, len(windows))}
	for i, w := range windows {
		outcome.Windows[i] = l.stand(now, w)
		if outcome.FullWindow < 0 && full(outcome.Windows[i].Count, w.Max) {
			outcome.FullWindow = i
		}
	}
	return outcome
}

// stand tells how one window stands. The caller holds mu.
func (l *local) stand(now time.Time, w Window) State {
	part := w.part(now)
	oldest, count := part, 0
	if h, known := l.windows.Get(w.Key); known {
		*h = slices.DeleteFunc(*h, func(p partHits) bool { return p.part < part-w.reach() })
		for _, p := range *h {
			oldest, count = min(oldest, p.part), count+p.count
		}
	}
	return State{Count: count, Frees: w.frees(oldest)}
}

// hit counts one in each window. The caller holds mu.
func (l *local) hit(now time.Time, windows []Window) {
	for _, w := range windows {
		h, known := l.windows.Get(w.Key)
		if !known {
			h = &hits{}
			l.windows.Add(w.Key, h)
		}
		part := w.part(now)
		if n := len(*h); n > 0 && (*h)[n-1].part >= part {
			(*h)[n-1].count++
			continue
		}
		*h = append(*h, partHits{part, 1})
	}
}

// tallyOf is nil when nothing is known of this period. The caller holds mu.
func (l *local) tallyOf(c Counter) *tally {
	t, known := l.counters.Get(c.Key)
	if !known || t.Period < c.Period {
		return nil
	}
	return t
}

// raise notes that a counter stands at count at least, this node's backlog
// included. The caller holds mu.
func (l *local) raise(c Counter, count int) *tally {
	t := l.tallyOf(c)
	if t == nil {
		t = newTally(c)
		l.counters.Add(c.Key, t)
	}
	t.raise(count)
	return t
}

// seen is a copy of what raise with the Floor would make of a counter. The
// caller holds mu.
func (l *local) seen(c Counter) *tally {
	t := newTally(c)
	if known := l.tallyOf(c); known != nil {
		*t = *known
	}
	t.raise(c.Floor)
	return t
}

// lend is the demand as Redis is to see it: its counters with what this node
// knows of them. Unless it only looks, the backlog is Redis's from here on,
// until settle says that it did not arrive. What is on record and was counted
// here alone has to be looked up: then nothing is lent.
func (l *local) lend(d Demand) (lent Demand, uncounted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lent = d
	lent.Counters = slices.Clone(d.Counters)
	tallies := make([]*tally, 0, len(d.Counters))
	for i := range lent.Counters {
		c := &lent.Counters[i]
		t := l.tallyOf(*c)
		if t == nil {
			continue
		}
		if c.Floor == Unknown && t.backlog > 0 {
			return d, true
		}
		if c.Floor != Unknown {
			c.Floor = max(c.Floor, t.shared)
		}
		c.backlog = t.backlog
		tallies = append(tallies, t)
	}
	if !d.Look {
		for _, t := range tallies {
			t.backlog = 0
		}
	}
	return lent, false
}

// settle notes what Redis has made of a lent demand.
func (l *local) settle(now time.Time, lent Demand, outcome Outcome, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case lent.Look:
	case err != nil:
		for _, c := range lent.Counters {
			if t := l.tallyOf(c); t != nil && t.Period == c.Period {
				t.backlog += c.backlog
			}
		}
	default:
		if outcome.FullWindow < 0 {
			l.hit(now, lent.Windows)
		}
		for i, c := range lent.Counters {
			l.raise(c, outcome.Counts[i])
		}
	}
}

// count adds one to counters without asking anybody.
func (l *local) count(counters []Counter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range counters {
		l.raise(c, c.Floor).backlog++
	}
}

// reclaim takes one hit out of each backlog, for it to be counted again: that
// takes the rest of the backlog along to Redis.
func (l *local) reclaim(now time.Time) []Counter {
	l.mu.Lock()
	defer l.mu.Unlock()
	var behind []Counter
	for _, t := range l.counters.Values() {
		if t.backlog > 0 && !t.OnRecord && now.Before(t.Ends) {
			t.backlog--
			behind = append(behind, Counter{Key: t.Key, Max: Unbounded, Period: t.Period, Ends: t.Ends})
		}
	}
	return behind
}

// forget drops what is known of a counter.
func (l *local) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counters.Remove(key)
}
