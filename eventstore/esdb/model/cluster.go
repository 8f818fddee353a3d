package model

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Options say which server the model is. The zero value is one node of 23.10
// that answers at once.
type Options struct {
	Nodes int // default: 1
	// Rand draws the seed of whatever the server leaves to chance. Default: a
	// fixed one.
	Rand *rand.Rand
	// Version is "23.10" (the default), "24.2", "24.10", "25.1" and so on.
	Version string
	// Elections has the nodes elect their leader by themselves. Without it only
	// [Cluster.Lead] makes one, and it stays until then.
	Elections bool
	// Restart is how long after a node ended by itself it is started again.
	// Default: 2 s.
	Restart time.Duration
	// Latency is the most that a request takes to arrive, and its answer.
	Latency time.Duration
	// Remembers is how many bytes of event ids a node remembers for appends
	// that expect nothing. Default: 8 MiB, at 28 bytes and the stream's name in
	// two bytes a character each.
	Remembers int
	// Ended and Started hear of nodes that end and start by themselves. They
	// are called in a goroutine of their own.
	Ended, Started func(*Node)
}

// Cluster is the nodes and the log that a quorum of them has.
type Cluster struct {
	options Options

	mu       sync.Mutex // guards all below, and the nodes
	seed     uint64
	version  version
	log      *eventLog
	nodes    []*Node
	leader   *Node         // the last one elected that has not given up; it may be away
	resigned *Node         // who is elected last of all
	apart    map[int]bool  // nodes that are cut off from the others
	election *time.Timer   // nil while none is under way
	notice   *time.Timer   // when followers see that their leader is gone
	changed  chan struct{} // closed, and replaced, when anything changes
	links    bool          // the server's own projections run
	appends  int           // events since the last of the server's statistics
	served   int
	// How often the metadata of $all were written, where subscriptions end then.
	allMetadata int
	dropped     int // how often all live readers were
	closed      bool
}

// New makes a cluster whose first node leads. Close it.
func New(options Options) (*Cluster, error) {
	if options.Nodes == 0 {
		options.Nodes = 1
	}
	if options.Rand == nil {
		options.Rand = rand.New(rand.NewPCG(1, 1))
	}
	if options.Version == "" {
		options.Version = "23.10"
	}
	if options.Restart == 0 {
		options.Restart = 2 * time.Second
	}
	if options.Remembers == 0 {
		options.Remembers = 8 << 20
	}
	v, err := parseVersion(options.Version)
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		options: options, seed: options.Rand.Uint64(), version: v, log: newLog(), changed: make(chan struct{}),
	}
	for n := range options.Nodes {
		c.nodes = append(c.nodes, &Node{c: c, number: n, alive: true, ids: newMemory(options.Remembers), seen: c.log.end, state: Follower})
	}
	c.leader = c.nodes[0]
	for _, n := range c.nodes {
		n.follows = c.leader
	}
	c.leader.state = Leader
	return c, nil
}

// Close stops all that would happen by itself.
func (c *Cluster) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	stop(&c.election)
	stop(&c.notice)
	for _, n := range c.nodes {
		n.stopTimers()
	}
	c.wake()
}

// Node is the n-th node, from 0.
func (c *Cluster) Node(n int) *Node { return c.nodes[n] }

// Nodes is how many there are.
func (c *Cluster) Nodes() int { return len(c.nodes) }

// SetVersion makes the cluster another version of the server.
func (c *Cluster) SetVersion(text string) error {
	v, err := parseVersion(text)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version, c.options.Version = v, text
	return nil
}

// Version is which version of the server the cluster is.
func (c *Cluster) Version() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.options.Version
}

// MaxAppend is how many bytes an append may hold.
func (c *Cluster) MaxAppend() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, _, _ := c.version.sizes()
	return all
}

// wake tells all who wait that something has changed.
func (c *Cluster) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait gives the lock away until something changes.
func (c *Cluster) wait(ctx context.Context) error {
	changed := c.changed
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
		return nil
	}
}

// travel gives the lock away for as long as a message takes.
func (c *Cluster) travel(ctx context.Context, matter, of string, n *Node) error {
	if c.options.Latency <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(between(c.chance(matter, of, uint64(n.number)^askerOf(ctx)<<2), 0, c.options.Latency))
	defer timer.Stop()
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// after does something later, unless its timer is stopped before.
func (c *Cluster) after(timer **time.Timer, d time.Duration, do func()) {
	stop(timer)
	var mine *time.Timer
	mine = time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if *timer != mine || c.closed {
			return
		}
		*timer = nil
		do()
	})
	*timer = mine
}

func stop(timer **time.Timer) {
	if *timer != nil {
		(*timer).Stop()
		*timer = nil
	}
}
