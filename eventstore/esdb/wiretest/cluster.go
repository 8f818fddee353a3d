package wiretest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/metadata"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// Cluster serves the nodes of a model.
type Cluster struct {
	model *model.Cluster
	nodes []*Node

	mu    sync.Mutex // guards what follows
	views []*View    // the first is the cluster's own
	delay time.Duration
	users map[string]string // their passwords; nil while nobody has to say who they are
	held  *hold             // nil when none is

	lose      atomic.Int64 // how many more answers to appends are lost
	stopAfter atomic.Int64 // how many more appends until the node stops, 0 for no such thing
	forwarded atomic.Int64 // requests that did not insist on the leader
	calls     atomic.Int64 // appends, reads and subscriptions that came
}

// New starts a cluster; its first node leads. Close it.
func New(nodes int, options ...Option) (*Cluster, error) {
	c := &Cluster{}
	settings := model.Options{
		Nodes:   nodes,
		Ended:   func(n *model.Node) { c.nodes[n.Number()].ended() },
		Started: func(n *model.Node) { c.nodes[n.Number()].started() },
	}
	for _, set := range options {
		set(&settings)
	}
	var err error
	if c.model, err = model.New(settings); err != nil {
		return nil, err
	}
	for number := range nodes {
		c.nodes = append(c.nodes, &Node{cluster: c, number: number, model: c.model.Node(number)})
	}
	for _, n := range c.nodes {
		if err := n.Start(); err != nil {
			c.Close()
			return nil, err
		}
	}
	if _, err := c.NewView(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close stops all nodes.
func (c *Cluster) Close() {
	c.model.Close()
	for _, n := range c.nodes {
		n.Stop()
	}
}

// Model is what the cluster serves, for all that needs no wire.
func (c *Cluster) Model() *model.Cluster { return c.model }

// Node is the n-th node, from 0.
func (c *Cluster) Node(n int) *Node { return c.nodes[n] }

// Nodes is how many there are.
func (c *Cluster) Nodes() int { return len(c.nodes) }

// URL is the connection string: of one node, or with all of them as seeds.
func (c *Cluster) URL() string { return c.ways()[0].URL() }

// Addresses are where the nodes listen, in order.
func (c *Cluster) Addresses() []string { return c.ways()[0].Addresses() }

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
	if n == nil {
		c.model.Lead(nil)
		return
	}
	c.model.Lead(n.model)
}

// Leader is the node that leads, nil while none does.
func (c *Cluster) Leader() *Node {
	if n := c.model.Leader(); n != nil {
		return c.nodes[n.Number()]
	}
	return nil
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

// Calls is how many appends, reads and subscriptions have come.
func (c *Cluster) Calls() int { return int(c.calls.Load()) }

// admit is what comes before every request: the delay, and whether it insists
// on the leader.
func (n *Node) admit(ctx context.Context) (insists bool, err error) {
	c := n.cluster
	c.calls.Add(1)
	c.mu.Lock()
	delay := c.delay
	c.mu.Unlock()
	if delay > 0 {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(delay):
		}
	}
	if asked, _ := metadata.FromIncomingContext(ctx); len(asked.Get("requires-leader")) == 0 {
		c.forwarded.Add(1)
		return false, nil
	}
	return true, nil
}

// append stores events, and loses the answer when it is asked to.
func (n *Node) append(ctx context.Context, name string, expected int64, events []model.Proposed) (model.Appended, error) {
	insists, err := n.admit(ctx)
	if err == nil {
		err = n.allow(ctx, model.MayWrite, name)
	}
	if err != nil {
		return model.Appended{}, err
	}
	if err := n.cluster.holding().check(ctx, events); err != nil {
		return model.Appended{}, err
	}
	done, err := n.model.Append(ctx, insists, name, expected, events)
	if n.cluster.stopAfter.Load() > 0 && n.cluster.stopAfter.Add(-1) == 0 {
		n.refuse()
		return model.Appended{}, errStopping
	}
	if err == nil && !done.Wrong && n.cluster.lose.Add(-1) >= 0 {
		n.DropConnections()
		return model.Appended{}, errStopping
	}
	return done, err
}

// Restore puts a copy in the place of the log, as an operator does who stops all
// nodes, puts an older state back and starts them.
func (c *Cluster) Restore(b model.Backup) {
	c.model.Restore(b)
	for _, n := range c.nodes {
		n.DropConnections()
	}
}

// Events is how many events there are that are not the server's own, without
// those of some streams.
func (c *Cluster) Events(leaveOut ...string) int { return c.model.Events(leaveOut...) }

// Served is how many events reads of streams have brought, to whomever.
func (c *Cluster) Served() int { return c.model.Served() }

// Tamper changes a byte of the stored data of a stream's event, which no
// client of a real server can do.
func (c *Cluster) Tamper(name string, revision int) error {
	return c.model.Tamper(name, int64(revision))
}
