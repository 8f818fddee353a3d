package model

import "math"

// Position is a place in $all.
type Position struct{ Commit, Prepare uint64 }

// Start and End are the ends of $all.
var (
	Start = Position{}
	End   = Position{math.MaxUint64, math.MaxUint64}
)

// find is where to read on in a part of the log: the index of the first record
// at or behind a position. It is false for positions at which no record begins.
// What was scavenged away stands for the next record that is still there.
func (c *Cluster) find(records []*Record, end uint64, p Position) (index int, ok bool) {
	switch {
	case p == Start:
		return 0, true
	case p == End || p.Commit >= end:
		return len(records), true
	}
	prepared := p.Prepare == 0 || p.Prepare <= p.Commit && c.known(p.Prepare)
	return indexOf(records, p.Commit), prepared && c.known(p.Commit)
}

func (c *Cluster) known(position uint64) bool {
	return position < c.log.scavenged || c.log.begins(position)
}
