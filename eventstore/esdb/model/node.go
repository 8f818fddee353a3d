package model

import (
	"context"
	"time"
)

// State is what a node takes itself for.
type State int

const (
	// Lost nodes have no leader; they answer nothing.
	Lost State = iota
	// Follower nodes have a leader.
	Follower
	// Leader is a node that leads, or that has not heard yet that another does.
	Leader
)

// Node is one server of a cluster.
type Node struct {
	c      *Cluster
	number int

	alive, frozen bool
	life          int    // grows each time the process ends
	office        int    // grows each time it leads no more
	seen          uint64 // what begins below is visible here
	state         State
	follows       *Node   // the leader that it knows, maybe itself
	ids           *memory // for appends that expect nothing
	waiting       []*pending
	asleep        []func() // writes that arrived while it was frozen, with nobody waiting for them

	giveUp  *time.Timer // it has no quorum any more
	learn   *time.Timer // it is about to learn that another leads
	join    *time.Timer // it has found the leader
	restart *time.Timer // it ended, and is being started
	catchUp *time.Timer // newer events are on their way
}

// Number is which node it is.
func (n *Node) Number() int { return n.number }

// Alive reports that the node's process runs, frozen or not.
func (n *Node) Alive() bool {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	return n.alive
}

func (n *Node) stopTimers() {
	for _, t := range []**time.Timer{&n.giveUp, &n.learn, &n.join, &n.restart, &n.catchUp} {
		stop(t)
	}
}

// arrive brings a request to the node: once that runs, and is not frozen. The
// life it has then must not end before the answer is there.
func (n *Node) arrive(ctx context.Context, of string) (life int, err error) {
	if err := n.c.travel(ctx, "arrival", of, n); err != nil {
		return 0, err
	}
	if !n.alive {
		return 0, errUnreached
	}
	return n.life, n.ready(ctx, n.life, of)
}

// ready waits while the node is frozen. When it wakes, what waits for it is done
// bit by bit.
func (n *Node) ready(ctx context.Context, life int, of string) error {
	for slept := false; ; {
		switch {
		case n.life != life:
			return errReset
		case n.frozen:
			slept = true
			if err := n.c.wait(ctx); err != nil {
				return err
			}
		case slept:
			slept = false
			if err := n.c.travel(ctx, "waking", of, n); err != nil {
				return err
			}
		default:
			return ctx.Err()
		}
	}
}

// leave brings an answer back to whoever asked.
func (n *Node) leave(ctx context.Context, life int, of string) error {
	if err := n.ready(ctx, life, of); err != nil {
		return err
	}
	if err := n.c.travel(ctx, "answer", of, n); err != nil {
		return err
	}
	return n.ready(ctx, life, of)
}

// admit refuses what has come to the wrong node. A request that does not insist
// on the leader is for any node that has one.
func (n *Node) admit(insists bool) error {
	switch {
	case n.state == Lost:
		return errNotReady
	case insists && n.state != Leader:
		return errNotLeader(n.follows)
	}
	return nil
}

// Member is what a node's gossip says of a node.
type Member struct {
	Node  *Node
	State State
	Alive bool
}

// Gossip is what the node knows of the cluster: a leader that was deposed in
// its sleep goes on naming itself.
func (n *Node) Gossip(ctx context.Context) ([]Member, error) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	life, err := n.arrive(ctx, "gossip")
	if err != nil {
		return nil, err
	}
	members := make([]Member, len(n.c.nodes))
	for i, m := range n.c.nodes {
		members[i] = Member{Node: m, State: Follower, Alive: m == n || n.c.connected(n, m)}
		switch {
		case n.state == Lost:
			members[i].State = Lost
		case n.follows == m:
			members[i].State = Leader
		}
	}
	return members, n.leave(ctx, life, "gossip")
}
