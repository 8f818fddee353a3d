package model

// Kill ends the process of a node. What it was doing is not answered.
func (n *Node) Kill() {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.end()
	n.c.evaluate(byDeath)
}

func (n *Node) end() {
	n.alive, n.frozen, n.asleep = false, false, nil
	n.life++
	n.state, n.follows = Lost, nil
	n.ids = newMemory(n.c.options.Remembers)
	n.cancel(errReset)
	n.stopTimers()
	if n.c.options.Elections && n.c.leader == n {
		n.c.leader = nil
	}
}

// Start starts the process of a node again, with all that it had.
func (n *Node) Start() {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.begin()
}

func (n *Node) begin() {
	if n.alive {
		return
	}
	stop(&n.restart)
	n.alive = true
	n.c.evaluate(byReturn)
}

// Freeze halts a node as SIGSTOP does: its connections stay, and nothing is
// answered.
func (n *Node) Freeze() {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if !n.alive {
		return
	}
	n.frozen = true
	n.stopTimers()
	n.c.evaluate(byFreezing)
}

// Learned reports that the node knows who leads, as far as it runs.
func (n *Node) Learned() bool {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	return n.alive && !n.frozen && n.learn == nil
}

// Wake has a frozen node go on where it was. One that led, and was deposed in
// its sleep, answers from the past until it learns so, and then ends.
func (n *Node) Wake() {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.frozen = false
	n.c.evaluate(byReturn)
	for _, arrive := range n.asleep {
		arrive()
	}
	n.asleep = nil
}

// Frozen reports that the node was halted by [Node.Freeze].
func (n *Node) Frozen() bool {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	return n.frozen
}

// Cut parts some nodes from all others; clients still reach both sides. It
// replaces the last cut, and without nodes it heals it.
func (c *Cluster) Cut(nodes ...*Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apart = map[int]bool{}
	for _, n := range nodes {
		c.apart[n.number] = true
	}
	c.evaluate(byCut)
}

// Resign has the leader give its office up. It is not elected next, if another
// can be.
func (c *Cluster) Resign() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leader == nil || !c.leader.alive || c.leader.frozen {
		return
	}
	c.resigned = c.leader
	c.leader.abdicate()
	c.evaluate(byResigning)
}

// connected reports that two nodes hear each other.
func (c *Cluster) connected(a, b *Node) bool {
	up := a.alive && !a.frozen && b.alive && !b.frozen
	return up && (a == b || c.apart[a.number] == c.apart[b.number])
}

// backed reports that a node is connected with a majority, itself included.
func (c *Cluster) backed(n *Node) bool {
	with := 0
	for _, m := range c.nodes {
		if c.connected(n, m) {
			with++
		}
	}
	return with > len(c.nodes)/2
}

// DropReaders takes every live subscriber for too slow, as a server does whose
// disks or whose network halt for a moment.
func (c *Cluster) DropReaders() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped++
	c.wake()
}
