package readmodels

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
)

// errNoBeginning: a later event of something whose first event never came.
var errNoBeginning = errors.New("the thing it changes was never created")

// row is a row of a table while events are folded into it.
type row[T any] struct {
	thing T
	// Where it was created and where it changed last. Events up to changed are in
	// the row already.
	created, changed eventstore.Position
}

// takes reports whether an event is news to the row, and notes that it is in.
func (r *row[T]) takes(e follow.Event) bool {
	if e.Position <= r.changed {
		return false
	}
	if r.created == 0 {
		r.created = e.Position
	}
	r.changed = e.Position
	return true
}

// fold is a table with a row for each thing of a kind, and how events change the
// rows. The things are folded by the domain itself, so that the two cannot differ.
type fold[T any] struct {
	what   string                       // a word for the thing
	about  func(domain.Event) uuid.UUID // which thing an event changes
	begins func(domain.Event) bool      // whether it is the first event of that
	evolve func(T, follow.Event) T

	load  string // the rows with the ids $1
	scan  func(pgx.CollectableRow) (row[T], error)
	id    func(T) uuid.UUID
	store func(context.Context, pgx.Tx, []*row[T]) error
}

// apply brings the table up to date with events.
func (f fold[T]) apply(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	_, err := f.applyNews(ctx, tx, events)
	return err
}

// applyNews brings the table up to date, and gives those of the events that were
// not in it already.
func (f fold[T]) applyNews(ctx context.Context, tx pgx.Tx, events []follow.Event) (news []follow.Event, err error) {
	rows, err := f.rows(ctx, tx, column(events, func(e follow.Event) pgtype.UUID { return dbID(f.about(e.Fact)) }))
	if err != nil {
		return nil, err
	}
	changed := make(map[uuid.UUID]*row[T])
	for _, e := range events {
		r, err := f.rowOf(rows, e)
		if err != nil {
			return nil, err
		}
		if r.takes(e) {
			r.thing = f.evolve(r.thing, e)
			changed[f.about(e.Fact)] = r
			news = append(news, e)
		}
	}
	return news, f.save(ctx, tx, changed)
}

// stretches cuts events into what is folded in one go, and what changes many rows
// at once and stands alone: a stretch of one such event, or of none.
func stretches(events []follow.Event, wide func(domain.Event) bool) iter.Seq[[]follow.Event] {
	return func(yield func([]follow.Event) bool) {
		for len(events) > 0 {
			n := slices.IndexFunc(events, func(e follow.Event) bool { return wide(e.Fact) })
			switch n {
			case -1:
				n = len(events)
			case 0:
				n = 1
			}
			if !yield(events[:n]) {
				return
			}
			events = events[n:]
		}
	}
}

// rows reads rows, by the ids of their things.
func (f fold[T]) rows(ctx context.Context, tx pgx.Tx, args ...any) (map[uuid.UUID]*row[T], error) {
	rows, err := tx.Query(ctx, f.load, args...)
	if err != nil {
		return nil, err
	}
	found := make(map[uuid.UUID]*row[T])
	read, err := pgx.CollectRows(rows, f.scan)
	for i := range read {
		found[f.id(read[i].thing)] = &read[i]
	}
	return found, err
}

// rowOf is the row of the thing that an event changes, an empty one where the
// event is its first.
func (f fold[T]) rowOf(rows map[uuid.UUID]*row[T], e follow.Event) (*row[T], error) {
	id := f.about(e.Fact)
	if rows[id] == nil {
		if !f.begins(e.Fact) {
			return nil, fmt.Errorf("%s of %s %s: %w", e.Type, f.what, id, errNoBeginning)
		}
		rows[id] = &row[T]{}
	}
	return rows[id], nil
}

// save stores rows that were changed.
func (f fold[T]) save(ctx context.Context, tx pgx.Tx, changed map[uuid.UUID]*row[T]) error {
	if len(changed) == 0 {
		return nil
	}
	return f.store(ctx, tx, slices.Collect(maps.Values(changed)))
}

// is reports whether an event is of one type.
func is[E domain.Event](e domain.Event) bool {
	_, yes := e.(E)
	return yes
}
