package model

import "time"

// cause is why a leader may have to be found.
type cause int

const (
	byReturn    cause = iota // nodes have come back
	byDeath                  // the leader's process ended: its connections broke
	byCut                    // the leader is not heard any more
	byFreezing               // the same, but its connections stay
	byResigning              // it said so
)

// How long things take, as they were measured on three nodes of 23.10.
var elections = map[cause][2]time.Duration{
	byReturn:    {1500 * time.Millisecond, 6 * time.Second},
	byDeath:     {1500 * time.Millisecond, 2 * time.Second},
	byCut:       {1500 * time.Millisecond, 2 * time.Second},
	byFreezing:  {5 * time.Second, 7 * time.Second},
	byResigning: {300 * time.Millisecond, 900 * time.Millisecond},
}

const (
	givesUpAfter              = 3500 * time.Millisecond // a leader without a quorum
	learnsAfter, learnsBefore = 500 * time.Millisecond, 1400 * time.Millisecond
	joinsAfter, joinsBefore   = 50 * time.Millisecond, 300 * time.Millisecond
)

// evaluate sees to what follows from a change: who gives up, who learns of
// another leader, who joins it, and whether one has to be elected.
func (c *Cluster) evaluate(why cause) {
	defer c.wake()
	if !c.options.Elections {
		for _, n := range c.nodes {
			if n.alive && !n.frozen && c.hears(n, c.leader) {
				n.wakes()
			}
		}
		c.appoint(c.leader)
		return
	}
	for _, n := range c.nodes {
		switch {
		case !n.alive || n.frozen || n.state != Leader || c.backed(n):
			stop(&n.giveUp)
		case n.giveUp == nil:
			c.after(&n.giveUp, givesUpAfter, func() {
				n.abdicate()
				c.evaluate(byReturn)
			})
		}
	}
	if c.leader != nil && c.leader.alive && !c.leader.frozen && c.backed(c.leader) {
		stop(&c.election)
		stop(&c.notice)
		c.gather()
		c.flush(c.leader)
		return
	}
	if c.electorate() == nil {
		stop(&c.election)
		stop(&c.notice)
		return
	}
	if c.election == nil {
		bounds := elections[why]
		d := between(c.chance("election", "", 0), bounds[0], bounds[1])
		c.after(&c.election, d, c.elect)
		c.after(&c.notice, d/2, c.miss)
	}
}

// electorate is the nodes that can elect a leader, nil where they are too few.
func (c *Cluster) electorate() []*Node {
	for _, n := range c.nodes {
		if !c.backed(n) {
			continue
		}
		var group []*Node
		for _, m := range c.nodes {
			if c.connected(n, m) {
				group = append(group, m)
			}
		}
		return group
	}
	return nil
}

// miss has the followers see that their leader is gone.
func (c *Cluster) miss() {
	for _, n := range c.electorate() {
		if n.state == Follower {
			n.state, n.follows = Lost, nil
		}
	}
	c.wake()
}

// elect makes the node lead that has the most, and of those any. Who resigned
// just now comes last.
func (c *Cluster) elect() {
	group := c.electorate()
	var best []*Node
	for _, n := range group {
		switch {
		case n == c.resigned && len(group) > 1:
		case len(best) > 0 && n.seen < best[0].seen:
		case len(best) > 0 && n.seen == best[0].seen:
			best = append(best, n)
		default:
			best = []*Node{n}
		}
	}
	if len(best) > 0 {
		c.enthrone(best[c.chance("elected", "", 0).IntN(len(best))])
	}
	c.evaluate(byReturn)
}

// enthrone makes a node the leader. A quorum has elected it, so it has all that
// was ever answered.
func (c *Cluster) enthrone(n *Node) {
	c.leader, c.resigned = n, nil
	n.state, n.follows = Leader, n
	n.seen = c.log.addBlank() + overhead // its epoch
	stop(&n.catchUp)
}

// gather brings the nodes that hear the leader to it.
func (c *Cluster) gather() {
	for _, n := range c.nodes {
		switch {
		case n == c.leader || !c.connected(n, c.leader):
		case n.state == Leader:
			n.wakes()
		case n.follows == c.leader:
			c.replicate(n)
		case n.join == nil:
			c.after(&n.join, between(c.chance("join", "", uint64(n.number)), joinsAfter, joinsBefore), n.joined)
		}
	}
}

func (n *Node) joined() {
	if l := n.c.leader; l != nil && n.c.connected(n, l) && n.state != Leader {
		n.state, n.follows = Follower, l
		n.c.replicate(n)
		n.c.wake()
	}
}

// abdicate has a leader see that it leads no more.
func (n *Node) abdicate() {
	n.cancel(errCanceled)
	n.office++
	n.state, n.follows = Lost, nil
	if n.c.leader == n {
		n.c.leader = nil
	}
}

// wakes has a node that led learn after a while that another does now.
func (n *Node) wakes() {
	if l := n.c.leader; n.state == Leader && l != nil && l != n && n.learn == nil {
		n.c.after(&n.learn, between(n.c.chance("learn", "", uint64(n.number)), learnsAfter, learnsBefore), n.depose)
	}
}

// depose has a node learn that another leads: what it is doing is canceled, and
// its process ends, to begin again as a follower.
func (n *Node) depose() {
	n.cancel(errCanceled)
	n.end()
	if ended := n.c.options.Ended; ended != nil {
		go ended(n)
	}
	n.c.after(&n.restart, n.c.options.Restart, func() {
		n.begin()
		if started := n.c.options.Started; started != nil {
			go started(n)
		}
	})
	n.c.evaluate(byDeath)
}

// Lead makes a node the leader at once; nil takes the leader away.
func (c *Cluster) Lead(n *Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader != nil && c.leader != n && !c.leader.frozen {
		c.leader.cancel(errCanceled)
	}
	if n != nil && c.leader != n {
		c.enthrone(n)
	}
	c.appoint(n)
	c.wake()
}

// hears reports that no cut lies between a node and its leader.
func (c *Cluster) hears(n, leader *Node) bool {
	return leader == nil || c.apart[n.number] == c.apart[leader.number]
}

// appoint has all nodes that hear the leader know it at once.
func (c *Cluster) appoint(leader *Node) {
	c.leader = leader
	for _, n := range c.nodes {
		if !n.alive || n.frozen || n.learn != nil || n.state == Leader && !c.hears(n, leader) {
			continue // it does not know yet
		}
		if n.state == Leader && n != leader {
			n.office++
		}
		n.follows, n.state = leader, Follower
		switch leader {
		case nil:
			n.state = Lost
		case n:
			n.state, n.seen = Leader, c.log.end
		default:
			c.replicate(n)
		}
	}
	if leader != nil && leader.alive && !leader.frozen && c.backed(leader) {
		c.flush(leader)
	}
}

// Leader is the node that leads, nil while none does.
func (c *Cluster) Leader() *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leader
}
