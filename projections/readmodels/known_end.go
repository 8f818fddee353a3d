package readmodels

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
)

// What the database knows of the ledger's end: the newest event of the audit trail
// and of the log of the whole, how far the read models are, and what was taken a
// snapshot of last.
const (
	selectFurthest = `SELECT coalesce(max(position), 0) FROM projection_checkpoints`

	selectOldestPlace = `SELECT position, stream, revision FROM audit_events ORDER BY position LIMIT 1`
	selectNewestPlace = `SELECT position, stream, revision FROM audit_events ORDER BY position DESC LIMIT 1`
	selectNewestEntry = `SELECT coalesce(max(changed_position), 0) FROM transparency_logs`
	selectNewestState = `SELECT stream, revision FROM snapshots ORDER BY saved_at DESC LIMIT 1`
)

// CheckEnd makes sure that the ledger has the newest events that the database knows
// of, and tells the position of the newest. The error is an [*eventstore.LostError]
// where the ledger ends too soon, and matches [eventstore.ErrOtherLedger] where it has gone on
// another way.
func (a *Anchor) CheckEnd(ctx context.Context) (known eventstore.Position, err error) {
	var newest, state eventstore.Landmark
	batch := &pgx.Batch{}
	batch.Queue(selectNewestState).QueryRow(optional(&state.Stream, &state.Revision)) // as the server itself
	var furthest eventstore.Position
	batch.Queue(selectFurthest).QueryRow(optional(&furthest))
	batch.Queue(enter, a.queries.role(AllOrganizations), AllOrganizations.setting())
	batch.Queue(selectNewestPlace).QueryRow(optional(&newest.Position, &newest.Stream, &newest.Revision))
	batch.Queue(selectNewestEntry).QueryRow(optional(&known))
	if err := a.queries.ask(ctx, batch); err != nil {
		return 0, err
	}
	known = max(known, newest.Position)
	if eventstore.Dense(a.store) { // else it may be the place of somebody else's event
		known = max(known, furthest)
	}
	if _, err := eventstore.WholeHead(ctx, a.store, known); err != nil {
		return known, err
	}
	return known, errors.Join(a.has(ctx, newest), a.has(ctx, state))
}

// Moved reports that the ledger has other positions than those that the database
// knows: it was moved to another engine, or it is another one.
func (a *Anchor) Moved(ctx context.Context) (bool, error) {
	var oldest eventstore.Landmark
	batch := &pgx.Batch{}
	batch.Queue(enter, a.queries.role(AllOrganizations), AllOrganizations.setting())
	batch.Queue(selectOldestPlace).QueryRow(optional(&oldest.Position, &oldest.Stream, &oldest.Revision))
	if err := a.queries.ask(ctx, batch); err != nil {
		return false, err
	}
	err := a.has(ctx, oldest)
	if errors.Is(err, eventstore.ErrOtherLedger) {
		return true, nil
	}
	return false, err
}

// optional scans a row that need not be there.
func optional(into ...any) func(pgx.Row) error {
	return func(row pgx.Row) error {
		if err := row.Scan(into...); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return nil
	}
}

// has makes sure that the ledger has an event, unless none was ever noted.
func (a *Anchor) has(ctx context.Context, l eventstore.Landmark) error {
	if l.Stream == "" {
		return nil
	}
	return l.In(ctx, a.store)
}
