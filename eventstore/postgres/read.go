package postgres

import (
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// Bounds of a page. Within them pages are as large as some megabytes allow.
const (
	minPage   = 64
	maxPage   = 4096
	pageBytes = 4 << 20
)

const (
	selectHead = `SELECT position FROM ledger_head`

	selectHeadAndNewest = `SELECT position, coalesce((SELECT max(position) FROM events), 0) FROM ledger_head`

	selectForwards = `SELECT ` + eventColumns + ` FROM events e
		WHERE stream = $1 AND revision >= $2 ORDER BY revision LIMIT $3`

	selectByID = `SELECT ` + eventColumns + ` FROM events e WHERE id = $1`

	selectBackwards = `SELECT ` + eventColumns + ` FROM events e
		WHERE stream = $1 AND revision <= $2 ORDER BY revision DESC LIMIT $3`
)

// Head implements [eventstore.Store].
func (s *Store) Head(ctx context.Context) (eventstore.Position, error) {
	var head int64
	err := s.pool.QueryRow(ctx, selectHead).Scan(&head)
	if err == nil {
		s.Expect(eventstore.Position(head))
	}
	return eventstore.Position(head), translate(ctx, "read the ledger's head", err)
}

// CheckHead makes sure that the head is not behind the events, which would look
// like an end that is gone. Some ways of restoring a database leave it so.
func (s *Store) CheckHead(ctx context.Context) error {
	var head, newest int64
	err := s.pool.QueryRow(ctx, selectHeadAndNewest).Scan(&head, &newest)
	if err != nil {
		return translate(ctx, "compare the ledger's head with the events", err)
	}
	if head < newest {
		return fmt.Errorf("the head of the ledger is at %d, behind the events, which go to %d, as after a restore that left the head out: "+
			"as the owner of the database type: UPDATE ledger_head SET position = (SELECT max(position) FROM events); then verify the ledger", head, newest)
	}
	return nil
}

// ReadAll implements [eventstore.Store]. The head is looked up when the
// iteration begins. While the events of a page are consumed the next page is
// being read.
func (s *Store) ReadAll(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		head, err := s.Head(ctx)
		if err != nil {
			yield(eventstore.Event{}, err)
			return
		}
		scan := newScan(filter)
		read := func(after eventstore.Position, limit int) (p page) {
			p.events, p.through, p.err = scan.page(ctx, s.pool, after, head, limit)
			return p
		}
		if after >= head {
			return
		}
		limit := minPage
		for p := read(after, limit); ; {
			limit = p.nextLimit(limit)
			var next chan page
			if p.err == nil && p.through < head {
				next = make(chan page, 1) // so that nobody has to wait for it
				go func(after eventstore.Position) { next <- read(after, limit) }(p.through)
			}
			if !p.yield(ctx, yield) || next == nil {
				return
			}
			p = <-next
		}
	}
}

// ReadStream implements [eventstore.Store].
func (s *Store) ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		sql, at := selectForwards, max(from, 0)
		if direction == eventstore.Backwards {
			sql, at = selectBackwards, from
			if from == eventstore.End {
				at = math.MaxInt64
			}
		}
		for limit := minPage; ; {
			var p page
			p.events, p.err = query(ctx, s.pool, 0, sql, stream, at, limit)
			if !p.yield(ctx, yield) || len(p.events) < limit {
				return
			}
			at = p.events[limit-1].Revision + 1
			if direction == eventstore.Backwards {
				at -= 2
			}
			if at < 0 {
				return
			}
			limit = p.nextLimit(limit)
		}
	}
}

// Event finds an event by its id.
func (s *Store) Event(ctx context.Context, id uuid.UUID) (event eventstore.Event, found bool, err error) {
	events, err := query(ctx, s.pool, 1, selectByID, id)
	if err != nil || len(events) == 0 {
		return event, false, translate(ctx, "read an event", err)
	}
	return events[0], true, nil
}

// page is a step of a read.
type page struct {
	events  []eventstore.Event
	through eventstore.Position
	err     error
}

// yield passes the page on and reports whether to go on.
func (p page) yield(ctx context.Context, yield func(eventstore.Event, error) bool) bool {
	for i := range p.events {
		if p.err == nil && !yield(p.events[i], nil) {
			return false
		}
	}
	if p.err != nil {
		yield(eventstore.Event{}, translate(ctx, "read the ledger", p.err))
	}
	return p.err == nil
}

// nextLimit sizes the page after this one, which was of limit events at most:
// pages grow quickly, so that short reads stay cheap and long ones are fast,
// as far as the size of the events allows.
func (p page) nextLimit(limit int) int {
	size := 0
	for i := range p.events {
		size += len(p.events[i].Record)
	}
	fits := maxPage
	if size > 0 {
		fits = pageBytes * len(p.events) / size
	}
	return max(minPage, min(4*limit, fits, maxPage))
}
