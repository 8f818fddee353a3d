package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/lease"
)

// Anchor ties a database to the ledger that it was derived from: one event, and
// where that is. Read models are full of positions, and so are the tokens signed
// with the keys beside them; those of another ledger, or of the same one on
// another engine, would be compared with these and tell the newer from the older
// wrongly.
type Anchor struct {
	pool    *pgxpool.Pool
	store   eventstore.Store
	queries *Queries
}

// NewAnchor is the anchor of the pool's database in a ledger.
func NewAnchor(pool *pgxpool.Pool, store eventstore.Store, queries *Queries) *Anchor {
	return &Anchor{pool: pool, store: store, queries: queries}
}

// ErrOtherLedger: the database was derived from another ledger, or from this one
// on another engine.
var ErrOtherLedger = errors.New("the database was derived from another ledger")

const selectAnchor = `SELECT stream, revision, position, hash FROM ledger_anchor`

// Check makes sure that the anchor is in the ledger, where it was. A database
// without one fits every ledger. The error matches [ErrOtherLedger] when it is not.
func (a *Anchor) Check(ctx context.Context) error {
	var want eventstore.Event
	var hash []byte
	err := a.pool.QueryRow(ctx, selectAnchor).Scan(&want.Stream, &want.Revision, (*uint64)(&want.Position), &hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the anchor: %w", err)
	}
	for found, err := range a.store.ReadStream(ctx, want.Stream, want.Revision, eventstore.Forwards) {
		switch {
		case err != nil:
			return fmt.Errorf("look for the anchor: %w", err)
		case found.Hash != eventstore.Hash(hash):
			return otherLedger(want, "is another one in this ledger")
		case found.Position != want.Position:
			return otherLedger(want, fmt.Sprintf("is at position %d of this ledger", found.Position))
		}
		return nil
	}
	return otherLedger(want, "is not in this ledger")
}

func otherLedger(want eventstore.Event, what string) error {
	return fmt.Errorf("%w: event %d of %s, at position %d there, %s", ErrOtherLedger, want.Revision, want.Stream, want.Position, what)
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
	e := newest.Items[0]
	if _, err := a.pool.Exec(ctx, moveAnchor, e.Stream, e.Revision, int64(e.Position), e.Hash[:]); err != nil {
		return fmt.Errorf("move the anchor: %w", err)
	}
	return nil
}

// ErrRunning: a server keeps the read models.
var ErrRunning = errors.New("a server is running on this database")

// Seize keeps all servers from the read models until release is called. The error
// is [ErrRunning] when one is at work already.
func Seize(ctx context.Context, pool *pgxpool.Pool) (release func(), err error) {
	leases := lease.New(pool, "agentidp projections")
	release = leases.Keep()
	for _, p := range All() {
		held, err := leases.Acquire(ctx, leaseOf(p.Name))
		if err == nil && held == nil {
			err = ErrRunning
		}
		if err != nil {
			release()
			return nil, err
		}
	}
	return release, nil
}
