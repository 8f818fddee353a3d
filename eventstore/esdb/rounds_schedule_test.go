package esdb_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// schedule is what happens to a cluster and to two nodes of ours in one round.
// It follows from the seed alone.
type schedule struct {
	seed    uint64
	latency time.Duration
	faults  []fault
	traced  bool // what happens is written down
}

// fault is one thing that goes wrong, and for how long.
type fault struct {
	at, lasts time.Duration
	what      string
	node      int // which node of ours, or how far from the leader
}

// Faults of the cluster; those of our own nodes begin with "our".
const (
	leaderFrozen   = "leader frozen"
	leaderCut      = "leader cut off"
	leaderKilled   = "leader killed"
	leaderResigned = "leader resigned"
	followerFrozen = "follower frozen"
	followerCut    = "follower cut off"
	answersLost    = "our answers lost"
	ourStopped     = "our node stopped"
)

// likely holds each fault as often as it is to be drawn.
var likely = []string{
	leaderFrozen, leaderFrozen, leaderFrozen, leaderCut, leaderCut, leaderCut,
	leaderKilled, leaderResigned, followerFrozen, followerCut, answersLost, ourStopped,
}

// drawn is the schedule of a seed.
func drawn(seed uint64, longest time.Duration) schedule {
	rng := seeded(seed)
	s := schedule{seed: seed, latency: time.Duration(rng.Int64N(int64(4 * time.Millisecond)))}
	at := between(rng, 200*time.Millisecond, 3*time.Second)
	for range 1 + rng.IntN(3) {
		f := fault{at: at, lasts: between(rng, time.Second, longest), what: likely[rng.IntN(len(likely))], node: rng.IntN(2)}
		switch f.what {
		case leaderKilled, ourStopped:
			f.lasts = between(rng, 500*time.Millisecond, 5*time.Second)
		case leaderResigned:
			f.lasts = time.Second
		}
		s.faults = append(s.faults, f)
		// The next one may come while this one lasts.
		at += between(rng, f.lasts/2, f.lasts+5*time.Second)
	}
	return s
}

func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)+1))
}

// ends is when all that goes wrong is over, and some time for what follows.
func (s schedule) ends() (end time.Duration) {
	for _, f := range s.faults {
		end = max(end, f.at+f.lasts)
	}
	return end + 4*time.Second
}

func (s schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, a message takes up to %s", s.seed, s.latency)
	for _, f := range s.faults {
		fmt.Fprintf(&b, "\n  at %-12s %s %d, for %s", f.at, f.what, f.node, f.lasts)
	}
	return b.String()
}

// trouble brings a schedule's faults upon a cluster.
type trouble struct {
	cluster *model.Cluster

	mu    sync.Mutex // guards what follows
	cut   map[*model.Node]bool
	lossy int       // nodes of ours whose answers get lost
	since time.Time // a leader can have been heard since then; zero while none can be
}

func (tr *trouble) strike(f fault) (over func()) {
	leader := tr.cluster.Leader()
	if leader == nil {
		leader = tr.cluster.Node(0)
	}
	follower := tr.cluster.Node((leader.Number() + 1 + f.node) % tr.cluster.Nodes())
	switch f.what {
	case leaderFrozen:
		leader.Freeze()
		return leader.Wake
	case followerFrozen:
		follower.Freeze()
		return follower.Wake
	case leaderCut:
		return tr.part(leader)
	case followerCut:
		return tr.part(follower)
	case leaderKilled:
		leader.Kill()
		return leader.Start
	case leaderResigned:
		tr.cluster.Resign()
	}
	return func() {}
}

// part cuts off one node more.
func (tr *trouble) part(n *model.Node) (heal func()) {
	tr.apart(n, true)
	return func() { tr.apart(n, false) }
}

func (tr *trouble) apart(n *model.Node, is bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	delete(tr.cut, n)
	if is {
		tr.cut[n] = true
	}
	var nodes []*model.Node
	for i := range tr.cluster.Nodes() {
		if n := tr.cluster.Node(i); tr.cut[n] {
			nodes = append(nodes, n)
		}
	}
	tr.cluster.Cut(nodes...)
}

// lose has answers get lost on their way to a node of ours. For so long nobody
// promises anything about how long a request takes.
func (tr *trouble) lose(o *ours, is bool) {
	o.dialer.losing.Store(is)
	if !is {
		time.Sleep(longestPause)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.lossy--; is {
		tr.lossy += 2
	}
}

// longestPause is the longest that a store makes between two attempts to connect.
const longestPause = 5 * time.Second

// watch keeps looking whether there is a leader that can answer.
func (tr *trouble) watch(done <-chan struct{}) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		tr.look()
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}

func (tr *trouble) look() {
	leader := tr.cluster.Leader()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	with := 0
	for i := range tr.cluster.Nodes() {
		n := tr.cluster.Node(i)
		if n.Alive() && !n.Frozen() && leader != nil && tr.cut[n] == tr.cut[leader] {
			with++
		}
	}
	switch {
	case tr.lossy > 0 || leader == nil || !leader.Alive() || leader.Frozen() || with <= tr.cluster.Nodes()/2:
		tr.since = time.Time{}
	case tr.since.IsZero():
		tr.since = time.Now()
	}
}

// waited is for how long a request that began then has been under way while there
// was a leader all the time.
func (tr *trouble) waited(begin time.Time) time.Duration {
	tr.look()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.since.IsZero() {
		return 0
	}
	return min(time.Since(begin), time.Since(tr.since))
}
