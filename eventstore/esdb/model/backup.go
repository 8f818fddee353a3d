package model

import (
	"fmt"
	"slices"
)

// Backup is the log as it was at some time.
type Backup struct{ log *eventLog }

// Backup copies the log.
func (c *Cluster) Backup() Backup {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Backup{c.log.clone()}
}

// Restore puts a copy in the place of the log on all nodes. They are started
// again with it, those that run.
func (c *Cluster) Restore(b Backup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = b.log.clone()
	leader := c.leader
	var running []*Node
	for _, n := range c.nodes {
		if n.alive {
			running = append(running, n)
		}
		n.end()
		n.seen = c.log.end
	}
	for _, n := range running {
		n.alive = true
	}
	if c.leader = leader; c.options.Elections && leader != nil {
		leader.state, leader.follows = Leader, leader
	}
	c.evaluate(byReturn)
}

// Tamper changes a byte of the stored data of a stream's event, which no
// client of a real server can do.
func (c *Cluster) Tamper(name string, revision int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.log.streams[name]
	r := (*Record)(nil)
	if s != nil {
		r = s.at(revision)
	}
	if r == nil {
		return fmt.Errorf("stream %s has no revision %d", name, revision)
	}
	data := slices.Clone(r.Data)
	data[len(data)/2] ^= 1
	changed := r.altered(data)
	s.records[s.index(revision)] = changed
	c.log.records = slices.Clone(c.log.records)
	c.log.records[indexOf(c.log.records, r.Position)] = changed
	return nil
}
