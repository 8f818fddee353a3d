package esdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
	"github.com/sentryagent/agentidp/internal/wait"
)

// Bounds of a page of the server's log: pages grow, so that short reads stay
// cheap, and shrink again where records are large.
const (
	firstPage   = 64
	largestPage = 4096
	pageBytes   = 8 << 20
)

// history is the ledger from a position on, by pages of the server's log read
// forwards. A page begins with the record that the one before it ended with, and
// the first with the record at the position: a subscription from a record that
// is gone leaves out the one after it, and a page does not.
type history struct {
	store *Store
	after eventstore.Position // events up to here are not wanted
	from  wire.Position
	count int
}

// passage is what a page of the log holds of the ledger.
type passage struct {
	events []eventstore.Event
	end    bool // there was no more
	err    error
}

func (s *Store) history(after eventstore.Position) *history {
	return &history{store: s, after: after, from: wire.At(uint64(after)), count: firstPage}
}

// maxPages is how many pages of history a store asks for at a time. A server
// takes a hundred calls of one connection, and lets the next ones wait.
const maxPages = 8

// next reads a page, when it is its turn.
func (h *history) next(ctx context.Context) (p passage) {
	select {
	case h.store.pages <- struct{}{}:
		defer func() { <-h.store.pages }()
	case <-ctx.Done():
		return passage{err: ctx.Err()}
	}
	var page []wire.Record
	err := h.store.try(ctx, h.store.long, func(c wire.Conn) (err error) {
		page, err = c.ReadAll(ctx, h.from, eventstore.Forwards, h.count)
		if wire.VerdictOf(err) != wire.BadPosition {
			return err
		}
		if h.from, err = h.store.nearest(ctx, c, h.after); err != nil {
			return err
		}
		page, err = c.ReadAll(ctx, h.from, eventstore.Forwards, h.count)
		if wire.VerdictOf(err) == wire.BadPosition { // it was once a place, and is none any more
			h.from = wire.Start
			page, err = c.ReadAll(ctx, h.from, eventstore.Forwards, h.count)
		}
		return err
	})
	if err != nil {
		return passage{err: err}
	}
	size := 0
	var rest []*wire.Record // that are no events of the ledger
	for i := range page {
		r := &page[i]
		size += len(r.Data) + len(r.Metadata)
		e, ok := h.store.event(r)
		switch {
		case !ok:
			rest = append(rest, r)
			h.store.notice(r)
		case e.Position > h.after:
			p.events = append(p.events, e)
			h.after = e.Position
		}
	}
	p.end = len(page) < h.count
	if len(page) > 0 {
		h.store.watch.see(h.store, h.from, rest, page[len(page)-1].Position.Commit)
		h.from = page[len(page)-1].Position
		h.store.places.add(h.from.Commit)
		h.count = min(4*h.count, largestPage, max(firstPage, pageBytes/(size/len(page)+1)))
	}
	return p
}

// nearest is where to read from in order to meet what comes after a position at
// which no record begins. Such a position was given by no read of this ledger.
// Most are the one before an event's own; any other lies between places that are
// known, and the nearer of them is begun with.
func (s *Store) nearest(ctx context.Context, c wire.Conn, p eventstore.Position) (wire.Position, error) {
	at := wire.At(uint64(p) + 1)
	page, err := c.ReadAll(ctx, at, eventstore.Forwards, 1)
	if err == nil && len(page) > 0 {
		return at, nil
	}
	if err != nil && wire.VerdictOf(err) != wire.BadPosition {
		return at, err
	}
	tail := s.tail.glimpse()
	before, after := s.places.around(uint64(p), uint64(tail.low), uint64(tail.high))
	if end := max(uint64(tail.high), uint64(p)); after == 0 && uint64(p)-before <= end-uint64(p) || after > 0 && uint64(p)-before <= after-uint64(p) {
		return wire.At(before), nil
	}
	at = wire.End
	if after > 0 {
		at = wire.At(after)
	}
	for {
		page, err := c.ReadAll(ctx, at, eventstore.Backwards, largestPage)
		if wire.VerdictOf(err) == wire.BadPosition {
			return wire.Start, nil
		}
		if err != nil {
			return at, err
		}
		for i := range page {
			if at = page[i].Position; at.Commit <= uint64(p) {
				return at, nil
			}
		}
		if len(page) < largestPage {
			return wire.Start, nil
		}
		s.places.add(at.Commit)
	}
}

// errShort: the log ended before an event that is in it. Whoever answered has
// not got it: a leader that was deposed and does not know it, for a second or two.
// Then another connection is asked.
var errShort = errors.New("the server's log ended before the ledger did")

const (
	shortTries = 10
	shortPause = 300 * time.Millisecond
)

// reading is a history that is read a page ahead of whoever takes it.
type reading struct {
	passages chan passage
	cut      error // why it came to no end; read after passages is closed
	cancel   context.CancelFunc
}

// read begins to read after a position, until the log ends or a page has reached
// what until says.
func (s *Store) read(ctx context.Context, after eventstore.Position, until func() eventstore.Position) *reading {
	ctx, cancel := context.WithCancel(ctx)
	r := &reading{passages: make(chan passage), cancel: cancel}
	h, progress := s.history(after), s.progress("the ledger is read")
	go func() {
		defer close(r.passages)
		for short := 0; ; {
			p := h.next(ctx)
			goal := until()
			reached := eventstore.Position(h.from.Commit) >= goal
			if p.err == nil && p.end && !reached {
				err := fmt.Errorf("%w: at %d, and %d is known", errShort, h.from.Commit, goal)
				s.long.drop(err)
				if short++; short == shortTries {
					p.err = err
				}
			}
			progress(eventstore.Position(h.from.Commit), goal)
			select {
			case r.passages <- p:
			case <-ctx.Done():
				r.cut = ctx.Err()
				return
			}
			if p.err != nil || reached {
				return
			}
			if p.end {
				_ = wait.For(ctx, shortPause)
			}
		}
	}()
	return r
}

// take is the next passage. There is no other when the goal has been reached.
func (r *reading) take(ctx context.Context) (p passage, more bool) {
	select {
	case p, more = <-r.passages:
		if !more && r.cut != nil {
			return passage{err: r.cut}, true
		}
		return p, more
	case <-ctx.Done():
		return passage{err: ctx.Err()}, true
	}
}

func (r *reading) close() { r.cancel() }
