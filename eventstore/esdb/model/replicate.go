package model

import (
	"math"
	"time"
)

// How far followers are behind: mostly not to be noticed, else by a time that
// is short at the median and rarely long.
const (
	behindRarely = 0.2
	behindMedian = 1800 * time.Microsecond
	behindMost   = 77 * time.Millisecond
)

// replicate brings a follower what it has not got, soon or at once.
func (c *Cluster) replicate(n *Node) {
	if n.catchUp != nil || n.seen == c.log.end || c.leader == nil || !c.connected(n, c.leader) {
		return
	}
	chance := c.chance("behind", "", c.log.end<<2|uint64(n.number))
	if chance.Float64() >= behindRarely {
		n.seen = c.log.end
		return
	}
	lag := min(behindMost, time.Duration(float64(behindMedian)*math.Exp(chance.NormFloat64())))
	c.after(&n.catchUp, lag, func() {
		if c.leader != nil && c.connected(n, c.leader) {
			n.seen = c.log.end
			c.wake()
		}
	})
}
