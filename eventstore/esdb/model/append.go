package model

import (
	"context"
	"errors"
	"time"
)

// Expected revisions that are no revision.
const (
	ExpectNoStream     int64 = -1
	ExpectAny          int64 = -2
	ExpectStreamExists int64 = -4
)

// Appended is the answer to an append.
type Appended struct {
	Wrong    bool   // the stream is not where it was expected to be
	Current  int64  // the revision of its newest event, -1 for none; or of the append's last one
	Position uint64 // of the append's last event, 0 where it cannot be told
}

// pending is an append that a leader cannot bring to a quorum.
type pending struct {
	do   func() (Appended, error)
	done bool
	is   Appended
	err  error
}

// Append stores events at the end of a stream. An append whose context ends may
// have been made all the same.
func (n *Node) Append(ctx context.Context, insists bool, stream string, expected int64, events []Proposed) (Appended, error) {
	return n.write(ctx, insists, stream, func(leader *Node) (check, commit func() (Appended, error)) {
		check = func() (Appended, error) {
			if err := n.c.acceptable(stream, events); err != nil {
				return Appended{}, err
			}
			return leader.check(stream, expected, events)
		}
		return check, func() (Appended, error) { return leader.commit(stream, events), nil }
	})
}

// errGo: nothing is wrong with a write, and it is no repetition.
var errGo = refuse(Unknown, "to be written")

// write brings a write to the leader, checks it by what that knows, and makes
// it as soon as a quorum is there.
func (n *Node) write(ctx context.Context, insists bool, of string, prepare func(leader *Node) (check, commit func() (Appended, error))) (Appended, error) {
	if err := ctx.Err(); err != nil {
		return Appended{}, err
	}
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	life, err := n.arrive(ctx, of)
	if err != nil {
		if ctx.Err() != nil && n.alive && half(n.c.chance("late", of, uint64(n.number))) {
			n.late(n.life, of, prepare)
		}
		return Appended{}, err
	}
	if err := n.admit(insists); err != nil {
		return Appended{}, err
	}
	leader := n
	if n.state != Leader { // a follower passes on what does not insist
		if leader = n.follows; !n.c.connected(n, leader) || leader.state != Leader {
			return Appended{}, errNotReady
		}
	}
	check, commit := prepare(leader)
	office := leader.office
	done, err := check()
	if errors.Is(err, errGo) {
		done, err = leader.propose(ctx, check, commit)
	}
	if err == nil {
		err = n.leave(ctx, life, of)
	}
	if err == nil && leader.office != office && half(n.c.chance("canceled", of, done.Position)) {
		err = errCanceled // it was made all the same
	}
	if err != nil {
		return Appended{}, err
	}
	return done, nil
}

// propose makes a write once a quorum takes it. It is made even when nobody
// waits for the answer any more.
func (n *Node) propose(ctx context.Context, check, commit func() (Appended, error)) (Appended, error) {
	p := n.enqueue(check, commit)
	for !p.done {
		if err := n.c.wait(ctx); err != nil {
			return Appended{}, err
		}
	}
	return p.is, p.err
}

// enqueue puts a write behind those that wait, if any do.
func (n *Node) enqueue(check, commit func() (Appended, error)) *pending {
	p := &pending{do: func() (Appended, error) {
		if done, err := check(); !errors.Is(err, errGo) {
			return done, err
		}
		return commit()
	}}
	n.waiting = append(n.waiting, p)
	if n.c.leader == n && n.c.backed(n) {
		n.c.flush(n)
	}
	return p
}

// late has a write arrive that nobody waits for any more: it had been sent. A
// node that is frozen takes it when it wakes.
func (n *Node) late(life int, of string, prepare func(leader *Node) (check, commit func() (Appended, error))) {
	arrive := func() {
		if n.life == life && n.state == Leader {
			check, commit := prepare(n)
			if _, err := check(); errors.Is(err, errGo) {
				n.enqueue(check, commit)
			}
		}
	}
	if n.frozen {
		n.asleep = append(n.asleep, arrive)
		return
	}
	var timer *time.Timer
	n.c.after(&timer, between(n.c.chance("late arrival", of, uint64(n.number)), 0, n.c.options.Latency), func() {
		if n.frozen {
			n.asleep = append(n.asleep, arrive)
			return
		}
		arrive()
	})
}

// flush makes the writes that waited for a quorum, in order.
func (c *Cluster) flush(leader *Node) {
	if len(leader.waiting) == 0 {
		return
	}
	for _, p := range leader.waiting {
		p.is, p.err = p.do()
		p.done = true
	}
	leader.waiting = nil
	for _, n := range c.nodes {
		if n != leader && n.state == Follower {
			c.replicate(n)
		}
	}
	c.wake()
}

// cancel refuses the writes that wait.
func (n *Node) cancel(err error) {
	for _, p := range n.waiting {
		p.done, p.err = true, err
	}
	n.waiting = nil
}

// acceptable refuses what is refused whatever the log holds.
func (c *Cluster) acceptable(stream string, events []Proposed) error {
	if stream == "" {
		return errNoName
	}
	all, each, everything := c.version.sizes()
	size := 0
	for i := range events {
		e := &events[i]
		if e.Type == "" {
			return errNoType
		}
		of := len(e.Data)
		if everything {
			of += len(e.Metadata) + 2*len(e.Type)
		}
		if each > 0 && of > each {
			return errTooLarge(each)
		}
		if size += of; size > all {
			return errTooLarge(all)
		}
	}
	return nil
}

// commit writes events that have been checked.
func (n *Node) commit(name string, events []Proposed) Appended {
	l := n.c.log
	before := l.look(name, l.end)
	current := before.newest()
	restored := len(events) > 0 && before.softDeleted()
	ofDeleted := isMetastream(name) && l.look(originalOf(name), l.end).softDeleted()
	last := uint64(0)
	var written []*Record
	for _, e := range events {
		r := l.add(name, e)
		n.ids.add(r)
		written = append(written, r)
		last = r.Position
	}
	if len(events) == 0 {
		last = l.addBlank()
	}
	if restored {
		n.goOn(name, current+1)
	}
	if ofDeleted {
		n.goOn(originalOf(name), l.look(originalOf(name), l.end).newest()+1)
	}
	if name == metastreamOf("$all") && n.c.version.endsWithMetadata() {
		n.c.allMetadata++
	}
	n.c.attend(written)
	n.seen = l.end
	return Appended{Current: current + int64(len(events)), Position: last}
}

// goOn has a stream that was soft-deleted be seen again from a revision on.
func (n *Node) goOn(name string, revision int64) {
	meta := n.c.log.streams[metastreamOf(name)]
	n.c.log.addOwn(metastreamOf(name), typeMetadata, string(truncatedAt(meta.records[len(meta.records)-1].Data, revision)))
}
