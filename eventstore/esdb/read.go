package esdb

import (
	"context"
	"iter"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/sentryagent/agentidp/eventstore"
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
	return head, translate(ctx, "read the ledger's head", err)
}

func (s *Store) head(ctx context.Context) (head eventstore.Position, err error) {
	err = s.try(ctx, func(c *conn) error {
		head, err = s.headAt(ctx, c)
		return err
	})
	return head, err
}

// tries is how often a read is begun that meets a change of leader or a broken
// connection.
const tries = 3

// try begins a read, and again where that may help.
func (s *Store) try(ctx context.Context, read func(*conn) error) error {
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := s.supervisor.acquire(ctx)
		if err != nil {
			return err
		}
		err = read(c)
		if err == nil || n == tries {
			return err
		}
		switch classify(err) {
		case passing:
			pause(ctx, s.options.MinBackoff)
		case broken:
		default:
			return err
		}
	}
}

func (s *Store) headAt(ctx context.Context, c *conn) (eventstore.Position, error) {
	known := s.tail.glimpse() // nothing before what it has looked at needs looking at again
	var from client.AllPosition = client.End{}
	for count := 8; ; count = pageOfAll {
		page, err := readAllBackwards(ctx, c, from, count)
		if err != nil {
			return 0, err
		}
		for _, r := range page {
			if known.seeded && r.Position.Commit <= known.looked.Commit {
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
		fail := func(err error) { yield(eventstore.Event{}, translate(ctx, "read the ledger", err)) }
		head, err := s.head(ctx)
		if err != nil {
			fail(err)
			return
		}
		if after >= head {
			return
		}
		reading, err := s.startCatchUp(ctx, ctx, after, head, filter)
		if err != nil {
			fail(err)
			return
		}
		defer reading.close()
		for through := after; through < head; {
			next, ok := <-reading.steps
			switch {
			case !ok:
				fail(errDropped)
				return
			case next.err != nil:
				fail(next.err)
				return
			case next.passes && !yield(next.event, nil):
				return
			}
			through = max(through, next.through)
		}
	}
}

// ReadStream implements [eventstore.Store].
func (s *Store) ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		fail := func(err error) { yield(eventstore.Event{}, translate(ctx, "read a stream", err)) }
		read := func(from int64, count int) (page []*client.RecordedEvent, err error) {
			err = s.try(ctx, func(c *conn) error {
				page, err = s.page(ctx, c, stream, from, direction, count)
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
			from = min(from, int64(newest[0].EventNumber))
		}
		for count := minPage; ; count = min(4*count, maxPage) {
			page, err := read(from, count)
			if err != nil {
				fail(err)
				return
			}
			for _, r := range page {
				// What is no event of the ledger is a gap for whoever verifies.
				if e, ok := s.event(r); ok && !yield(e, nil) {
					return
				}
			}
			if len(page) < count {
				return
			}
			from = int64(page[count-1].EventNumber) + 1
			if direction == eventstore.Backwards {
				if from -= 2; from < 0 {
					return
				}
			}
		}
	}
}

// page reads events of a stream as the server has them, none if there is no
// such stream.
func (s *Store) page(ctx context.Context, c *conn, stream string, from int64, direction eventstore.Direction, count int) ([]*client.RecordedEvent, error) {
	options := client.ReadStreamOptions{Direction: client.Forwards, From: client.Revision(uint64(max(from, 0)))}
	if direction == eventstore.Backwards {
		options.Direction = client.Backwards
		if from == eventstore.End {
			options.From = client.End{}
		}
	}
	page, err := call(ctx, c, func(ctx context.Context, library *client.Client) ([]*client.RecordedEvent, error) {
		stream, err := library.ReadStream(ctx, s.options.Prefix+stream, options, uint64(count))
		return receive(stream, err)
	})
	if err != nil && classify(err) == missing {
		return nil, nil
	}
	return page, err
}
