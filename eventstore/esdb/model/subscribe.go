package model

import "context"

// Bounds of a subscription to $all.
const (
	historyPage = 32 // events of the past that are read at once
	mostBehind  = 32 // events that wait for a live subscriber
)

// Window is how far a filter looks before it says how far it is: after Events ×
// Times events it looked at.
type Window struct{ Events, Times uint32 }

// MessageKind is what a subscription brings.
type MessageKind int

// What a subscription brings.
const (
	EventAppeared MessageKind = iota
	CheckpointReached
	CaughtUp
	FellBehind // since 24.2
)

// Message is what a subscription brings.
type Message struct {
	Kind     MessageKind
	Event    *Record  // of EventAppeared
	Position Position // of CheckpointReached
}

type phase int

const (
	inHistory phase = iota
	goingLive       // all that was there when the end was met has been queued
	live
)

// Subscription follows $all on one node. One goroutine at a time may receive.
type Subscription struct {
	n      *Node
	life   int
	filter *Filter
	every  int // events between two checkpoints, 0 for none

	allMetadata int // the metadata of $all when it was made
	dropped     int // how often all readers had been dropped then

	phase  phase
	next   uint64 // what begins below has been looked at
	looked int    // events since the last checkpoint
	last   *Record
	queue  []Message
	ended  error // what comes behind the queue
}

// Subscribe follows $all behind a position; from [Start] with the first event,
// from [End] with what comes. A follower takes what insists on the leader only
// from the end, and subscriptions that were made on a leader outlive its
// office.
func (n *Node) Subscribe(ctx context.Context, insists bool, after Position, filter *Filter, window Window) (*Subscription, error) {
	c := n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	life, err := n.come(ctx, insists && after != End, "subscribe")
	if err != nil {
		return nil, err
	}
	s := &Subscription{n: n, life: life, allMetadata: c.allMetadata, dropped: c.dropped}
	if s.filter, err = filter.compile(); err != nil {
		return nil, err
	}
	if filter != nil {
		if s.every = int(window.Events) * int(window.Times); s.every <= 0 {
			return nil, errHandler
		}
	}
	records := below(c.log.records, n.seen)
	switch {
	case after == Start:
	case after == End:
		s.phase, s.next = goingLive, n.seen
	default:
		index, ok := c.find(records, n.seen, after)
		if !ok {
			return nil, c.misplacedSubscription()
		}
		// The server looks up one record at or behind the position and goes on
		// behind that. When the one at the position is gone, the next is passed
		// over.
		if s.next = after.Commit + 1; index < len(records) {
			s.next = records[index].end
		}
	}
	return s, n.leave(ctx, life, "subscribe")
}

func (c *Cluster) misplacedSubscription() error {
	if c.version.namesPositions() {
		return errInvalid
	}
	return errHandler
}
