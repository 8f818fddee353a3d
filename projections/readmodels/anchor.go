package readmodels

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
)

// Anchor ties a database to the ledger that it was derived from: it is one event,
// and where that is. Read models are full of positions, and so are the tokens
// signed with the keys beside them. In another ledger, or in the same one on
// another engine, positions mean something else: comparing them would take old
// for new.
type Anchor struct {
	pool    *pgxpool.Pool
	store   eventstore.Store
	queries *Queries
}

// NewAnchor ties the pool's database to a ledger.
func NewAnchor(pool *pgxpool.Pool, store eventstore.Store, queries *Queries) *Anchor {
	return &Anchor{pool: pool, store: store, queries: queries}
}

const selectAnchor = `SELECT stream, revision, position, hash FROM ledger_anchor`

// Check makes sure that the anchor is in the ledger, where it was. A database
// without one fits every ledger. The error is an [*eventstore.LostError] where the
// ledger ends before it, and matches [eventstore.ErrOtherLedger] where another event is there.
func (a *Anchor) Check(ctx context.Context) error {
	var p eventstore.Landmark
	var hash []byte
	err := a.pool.QueryRow(ctx, selectAnchor).Scan(&p.Stream, &p.Revision, (*uint64)(&p.Position), &hash)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read the anchor: %w", err)
	}
	copy(p.Hash[:], hash)
	return p.In(ctx, a.store)
}

const beginAnchor = `INSERT INTO ledger_anchor (stream, revision, position, hash) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`

// Begin drops the anchor of a database that has none, at the first event of a
// stream that the ledger has. Call it before anything is derived from the ledger.
func (a *Anchor) Begin(ctx context.Context, stream string) error {
	for e, err := range a.store.ReadStream(ctx, stream, 0, eventstore.Forwards) {
		if err == nil {
			_, err = a.pool.Exec(ctx, beginAnchor, e.Stream, e.Revision, int64(e.Position), e.Hash[:])
		}
		if err != nil {
			return fmt.Errorf("drop the anchor: %w", err)
		}
		return nil
	}
	return fmt.Errorf("drop the anchor: there is no stream %s", stream)
}

const moveAnchor = `INSERT INTO ledger_anchor (stream, revision, position, hash) VALUES ($1, $2, $3, $4)
	ON CONFLICT (singleton) DO UPDATE SET stream = EXCLUDED.stream, revision = EXCLUDED.revision,
		position = EXCLUDED.position, hash = EXCLUDED.hash WHERE ledger_anchor.position < EXCLUDED.position`

// Move drops the anchor at the newest event that the audit trail shows, unless it
// is further on already. Call it now and then. It does what Check does first.
func (a *Anchor) Move(ctx context.Context) error {
	if err := a.Check(ctx); err != nil {
		return err
	}
	newest, err := a.queries.AuditEvents(ctx, AllOrganizations, AuditFilter{Page: Page{Limit: 1}, WithoutTotal: true})
	if err != nil || len(newest.Items) == 0 {
		return err
	}
	p := newest.Items[0]
	if _, err := a.pool.Exec(ctx, moveAnchor, p.Stream, p.Revision, int64(p.Position), p.Hash[:]); err != nil {
		return fmt.Errorf("move the anchor: %w", err)
	}
	return nil
}

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
// of, and gives the position of the newest. The error is an [*eventstore.LostError]
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

// has makes sure that the ledger has an event, unless none was ever noted. A ledger
// that lacks it is another one, a shorter one too: CheckEnd looks at the end first.
func (a *Anchor) has(ctx context.Context, l eventstore.Landmark) error {
	if l.Stream == "" {
		return nil
	}
	err := l.In(ctx, a.store)
	if errors.As(err, new(*eventstore.LostError)) {
		return fmt.Errorf("%w: event %d of %s is not in this ledger", eventstore.ErrOtherLedger, l.Revision, l.Stream)
	}
	return err
}
