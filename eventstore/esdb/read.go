package esdb

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
	"github.com/sentryagent/agentidp/internal/wait"
)

// Bounds of a page of a stream: pages grow, so that short reads stay cheap.
const (
	minPage = 16
	maxPage = 1024
)

// Head implements [eventstore.Store]: the newest event of the server's log that
// is one of the ledger's.
func (s *Store) Head(ctx context.Context) (eventstore.Position, error) {
	head, err := s.head(ctx)
	if err == nil {
		s.Expect(head)
	}
	return head, translate(ctx, "read the ledger's head", err)
}

// tries is how often a read is begun that meets a change of leader or a broken
// connection.
const tries = 3

// try begins a read, and again where that may help.
func (s *Store) try(ctx context.Context, by *supervisor, read func(wire.Conn) error) error {
	begin := time.Now()
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := by.acquireSoon(ctx, begin.Add(silence))
		if err != nil {
			return err
		}
		err = read(c)
		if err == nil || n == tries {
			return err
		}
		switch wire.VerdictOf(err) {
		case wire.NotLeader:
			s.lease.lost()
			_ = wait.For(ctx, s.options.MinBackoff)
		case wire.Passing:
			_ = wait.For(ctx, s.options.MinBackoff)
		case wire.Broken:
			if errors.Is(err, errSilent) {
				return err
			}
		default:
			return err
		}
	}
}

// headAt asks for the newest record, and for more where that is not the
// ledger's. Nothing before what the tail has looked at needs looking at again.
func (s *Store) headAt(ctx context.Context, c wire.Conn, count int) (eventstore.Position, error) {
	known := s.tail.glimpse()
	from, newest := wire.End, wire.Start
	for ; ; count = min(8*count, largestPage) {
		page, err := c.ReadAll(ctx, from, eventstore.Backwards, count)
		if err != nil {
			return 0, err
		}
		for i := range page {
			r := &page[i]
			newest = cmp.Or(newest, r.Position)
			if known.seeded && r.Position.Commit <= known.looked.Commit {
				s.tail.see(newest) // all between is no part of the ledger
				return known.high, nil
			}
			if e, ok := s.event(r); ok {
				return e.Position, nil
			}
		}
		if len(page) < count {
			return 0, nil
		}
		from = page[len(page)-1].Position
	}
}

// ReadAll implements [eventstore.Store]. The head is looked up when the
// iteration begins.
func (s *Store) ReadAll(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		head, err := s.head(ctx)
		if err != nil {
			yield(eventstore.Event{}, translate(ctx, "read the ledger", err))
			return
		}
		s.readTo(ctx, after, head, filter, yield)
	}
}

// readTo yields the events after a position up to another that is known to be
// there.
func (s *Store) readTo(
	ctx context.Context, after, head eventstore.Position, filter eventstore.Filter, yield func(eventstore.Event, error) bool,
) {
	if after >= head {
		return
	}
	reading := s.read(ctx, after, func() eventstore.Position { return head })
	defer reading.close()
	for {
		p, more := reading.take(ctx)
		if !more {
			return
		}
		if p.err != nil {
			yield(eventstore.Event{}, translate(ctx, "read the ledger", p.err))
			return
		}
		for _, e := range p.events {
			if e.Position > head {
				return
			}
			if filter.Passes(e) && !yield(e, nil) {
				return
			}
		}
	}
}

// ReadStream implements [eventstore.Store].
func (s *Store) ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		fail := func(err error) { yield(eventstore.Event{}, translate(ctx, "read a stream", err)) }
		read := func(from int64, count int) (page []wire.Record, err error) {
			err = s.try(ctx, s.supervisor, func(c wire.Conn) (err error) {
				var found bool
				page, found, err = s.found(ctx, c, stream, from, direction, count)
				if _, vouched := s.barred.is(stream); err == nil && !vouched && (!found || len(page) == 0 && from <= 0) {
					err = s.inspect(ctx, c, stream) // that there is nothing has to be true
				}
				return err
			})
			return page, err
		}
		if direction == eventstore.Backwards && from != eventstore.End {
			// A read backwards from beyond the newest event finds nothing.
			newest, err := read(eventstore.End, 1)
			if err != nil {
				fail(err)
				return
			}
			if len(newest) == 0 {
				return
			}
			from = min(from, int64(newest[0].Revision))
		}
		for count := minPage; ; count = min(4*count, maxPage) {
			page, err := read(from, count)
			if err != nil {
				fail(err)
				return
			}
			for i := range page {
				// What is no event of the ledger is a gap for whoever verifies.
				if e, ok := s.event(&page[i]); ok && !yield(e, nil) {
					return
				}
			}
			if len(page) < count {
				return
			}
			from = int64(page[count-1].Revision) + 1
			if direction == eventstore.Backwards {
				if from -= 2; from < 0 {
					return
				}
			}
		}
	}
}

// ReadOne is for [eventstore.ReadOne]: as a page of history, so that those who look
// through the trail of the ledger hold up no append and no head. The connection for
// those is asked where a node on the other one has not got the event.
func (s *Store) ReadOne(ctx context.Context, stream string, revision int64) (e eventstore.Event, found bool, err error) {
	select {
	case s.pages <- struct{}{}:
		defer func() { <-s.pages }()
	case <-ctx.Done():
		return e, false, translate(ctx, "read an event", ctx.Err())
	}
	for _, by := range []*supervisor{s.long, s.supervisor} {
		err = s.try(ctx, by, func(c wire.Conn) error {
			page, err := s.page(ctx, c, stream, revision, eventstore.Forwards, 1)
			if err == nil && len(page) > 0 && page[0].Revision == uint64(revision) {
				e, found = s.event(&page[0])
			}
			return err
		})
		if found || err != nil {
			break
		}
	}
	return e, found, translate(ctx, "read an event", err)
}

// page reads events of a stream as the server has them, none if there is no
// such stream.
func (s *Store) page(ctx context.Context, c wire.Conn, stream string, from int64, direction eventstore.Direction, count int) ([]wire.Record, error) {
	page, _, err := s.found(ctx, c, stream, from, direction, count)
	return page, err
}

// found is page, and whether the server says that there is such a stream.
func (s *Store) found(ctx context.Context, c wire.Conn, stream string, from int64, direction eventstore.Direction, count int) (page []wire.Record, found bool, err error) {
	page, err = c.ReadStream(ctx, s.options.Prefix+stream, from, direction, count)
	if wire.VerdictOf(err) == wire.Missing {
		return nil, false, nil
	}
	return page, true, named(stream, err)
}
