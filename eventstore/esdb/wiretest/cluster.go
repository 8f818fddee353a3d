package wiretest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Cluster is one log and the nodes that serve it.
type Cluster struct {
	log   *eventLog
	nodes []*Node

	mu    sync.Mutex // guards what follows
	views []*View    // the first is the cluster's own
	lead  *Node      // nil while none is elected
	delay time.Duration
	held  *hold // nil when none is

	lose      atomic.Int64 // how many more answers to appends are lost
	stopAfter atomic.Int64 // how many more appends until the node stops, 0 for no such thing
	forwarded atomic.Int64 // requests that did not insist on the leader
}

// New starts a cluster; its first node leads. Close it.
func New(nodes int) (*Cluster, error) {
	c := &Cluster{log: newLog()}
	for number := range nodes {
		n := &Node{cluster: c, number: number}
		c.nodes = append(c.nodes, n)
		if err := n.Start(); err != nil {
			c.Close()
			return nil, err
		}
	}
	c.lead = c.nodes[0]
	if _, err := c.NewView(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close stops all nodes.
func (c *Cluster) Close() {
	for _, n := range c.nodes {
		n.Stop()
	}
}

// Node is the n-th node, from 0.
func (c *Cluster) Node(n int) *Node { return c.nodes[n] }

// Nodes is how many there are.
func (c *Cluster) Nodes() int { return len(c.nodes) }

// URL is the connection string: of one node, or with all of them as seeds.
func (c *Cluster) URL() string { return c.ways()[0].URL() }

// Client is the library as another program would use it; Close it.
func (c *Cluster) Client() (*client.Client, error) {
	config, err := client.ParseConnectionString(c.URL())
	if err != nil {
		return nil, err
	}
	config.Logger = client.NoopLogging()
	return client.NewClient(config)
}

// Lead makes a node the leader; nil takes the leader away.
func (c *Cluster) Lead(n *Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lead = n
}

// Leader is the node that leads, nil while none does.
func (c *Cluster) Leader() *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lead
}

// Delay has every request take at least so long.
func (c *Cluster) Delay(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = d
}

// LoseAnswers has the connection break instead of an answer to the next n
// appends, after their events have been stored.
func (c *Cluster) LoseAnswers(n int) { c.lose.Store(int64(n)) }

// StopAfter has a node stop instead of answering the n-th append that comes to
// it, after its events have been stored.
func (c *Cluster) StopAfter(n int) { c.stopAfter.Store(int64(n)) }

// Forwarded is how many requests did not insist on being answered by the
// leader. A follower of a real cluster may answer those from the past.
func (c *Cluster) Forwarded() int { return int(c.forwarded.Load()) }

// admit is what comes before every request: the delay, and that those which
// insist on the leader have come to it.
func (n *Node) admit(ctx context.Context) error {
	c := n.cluster
	c.mu.Lock()
	delay, leader := c.delay, c.lead
	c.mu.Unlock()
	if delay > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(delay):
		}
	}
	if asked, _ := metadata.FromIncomingContext(ctx); len(asked.Get("requires-leader")) == 0 {
		c.forwarded.Add(1)
		return nil
	}
	if leader != n {
		return errNotLeader(leader, c.viewOf(ctx, n))
	}
	return nil
}

var errStopping = status.Error(codes.Unavailable, "the server is stopping")

// append stores events, and loses the answer when it is asked to.
func (n *Node) append(ctx context.Context, name string, expected int64, events []proposed) (outcome, error) {
	if err := n.admit(ctx); err != nil {
		return outcome{}, err
	}
	if err := n.cluster.holding().check(ctx, events); err != nil {
		return outcome{}, err
	}
	done, err := n.cluster.log.append(name, expected, events)
	if n.cluster.stopAfter.Load() > 0 && n.cluster.stopAfter.Add(-1) == 0 {
		n.refuse()
		return outcome{}, errStopping
	}
	if err == nil && !done.wrong && n.cluster.lose.Add(-1) >= 0 {
		n.DropConnections()
		return outcome{}, errStopping
	}
	return done, err
}
