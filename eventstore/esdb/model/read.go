package model

import (
	"context"
	"slices"
)

// FromEnd is the revision with which a stream is read backwards from its newest
// event.
const FromEnd int64 = -1

// ReadStream reads at most count events of a stream from a revision on, or from
// it back. It is not found when it has no events or was soft-deleted.
func (n *Node) ReadStream(ctx context.Context, insists bool, name string, from int64, backwards bool, count uint64) (page []*Record, found bool, err error) {
	c := n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	life, err := n.come(ctx, insists, name)
	switch {
	case err != nil:
		return nil, false, err
	case name == "":
		return nil, false, errNoName
	case count == 0:
		return nil, false, errHandler
	}
	s := c.log.look(name, n.seen)
	switch {
	case s.tombstoned():
		return nil, false, errDeleted(name)
	case s.newest() < 0 || s.softDeleted():
		return nil, false, n.leave(ctx, life, name)
	}
	if backwards && (from == FromEnd || from > s.newest()) {
		from = s.newest()
	}
	page = s.page(from, backwards, count)
	c.served += len(page)
	return page, true, n.leave(ctx, life, name)
}

// ReadAll reads at most count events of $all that pass a filter, which may be
// nil: forwards from a position with what begins there, backwards without.
func (n *Node) ReadAll(ctx context.Context, insists bool, from Position, backwards bool, count uint64, filter *Filter) (page []*Record, err error) {
	c := n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	life, err := n.come(ctx, insists, Everybody)
	if err != nil {
		return nil, err
	}
	if filter, err = filter.compile(); err != nil {
		return nil, err
	}
	if count == 0 {
		return nil, errReadAt
	}
	records := below(c.log.records, n.seen)
	index, ok := c.find(records, n.seen, from)
	if beyond := from != End && from.Commit > n.seen; !ok || backwards && beyond {
		return nil, errReadAt
	}
	part := records[index:]
	if backwards {
		part = records[:index]
	}
	page = pick(part, backwards, count, filter)
	return page, n.leave(ctx, life, Everybody)
}

// pick takes the first events that pass, or the last ones in reverse.
func pick(part []*Record, backwards bool, count uint64, filter *Filter) (page []*Record) {
	if filter == nil && uint64(len(part)) > count {
		if backwards {
			part = part[uint64(len(part))-count:]
		} else {
			part = part[:count]
		}
	}
	if filter == nil && !backwards {
		return slices.Clip(part)
	}
	page = make([]*Record, 0, min(count, uint64(len(part))))
	for i := range part {
		r := part[i]
		if backwards {
			r = part[len(part)-1-i]
		}
		if uint64(len(page)) == count {
			break
		}
		if filter.passes(r) {
			page = append(page, r)
		}
	}
	return slices.Clip(page)
}

// come is arrive and admit.
func (n *Node) come(ctx context.Context, insists bool, of string) (life int, err error) {
	life, err = n.arrive(ctx, of)
	if err == nil {
		err = n.admit(insists)
	}
	return life, err
}

// Served is how many events reads of streams have brought.
func (c *Cluster) Served() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served
}

// Events is how many events there are that are not the server's own, without
// those of some streams.
func (c *Cluster) Events(leaveOut ...string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.log.records {
		if !r.System() && !slices.Contains(leaveOut, r.Stream) {
			n++
		}
	}
	return n
}
