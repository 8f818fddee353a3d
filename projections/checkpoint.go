package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
)

// channel is where transactions of core projections announce themselves, as
// "name version position" or "name version position halted".
const channel = "agentidp_projections"

// projectorTx is how a transaction that writes read models begins.
//
// synchronous_commit is off: what is written is derived, and the checkpoint is
// in the same transaction, so a crash of the database that loses the last of
// them loses rows and checkpoint together, and they are derived again.
//
// The timeouts are for processes that freeze in the middle: they neither keep
// the checkpoint locked for ever nor wait for it for ever.
var projectorTx = pgx.TxOptions{BeginQuery: `BEGIN; SET LOCAL ROLE agentidp_projector; SET LOCAL synchronous_commit TO off;` +
	` SET LOCAL lock_timeout TO '5s'; SET LOCAL idle_in_transaction_session_timeout TO '10s'`}

// txTimeout bounds one such transaction.
const txTimeout = time.Minute

const (
	createCheckpoint = `INSERT INTO projection_checkpoints (name, version, position) VALUES ($1, $2, 0) ON CONFLICT (name) DO NOTHING`

	selectCheckpoint = `SELECT version, position, state = 'halted' FROM projection_checkpoints WHERE name = $1`

	lockCheckpoint = `SELECT version, position FROM projection_checkpoints WHERE name = $1 FOR UPDATE`

	moveCheckpoint = `UPDATE projection_checkpoints
		SET position = $2, state = 'running', error = '', failed_position = NULL, updated_at = now() WHERE name = $1`

	haltCheckpoint = `UPDATE projection_checkpoints
		SET state = 'halted', error = $2, failed_position = $3, updated_at = now() WHERE name = $1`

	notify = `SELECT pg_notify('` + channel + `', $1)`
)

// checkpoint is the stored place of a projection.
type checkpoint struct {
	position eventstore.Position
	halted   bool
}

// loadCheckpoint reads the checkpoint and makes it if there is none. It is a
// [versionError] when another version of the projection fills the tables.
func loadCheckpoint(ctx context.Context, pool *pgxpool.Pool, p *Projection) (c checkpoint, err error) {
	ctx, cancel := context.WithTimeout(ctx, txTimeout)
	defer cancel()
	var version int
	read := func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, selectCheckpoint, p.Name).Scan(&version, &c.position, &c.halted)
	}
	err = pgx.BeginTxFunc(ctx, pool, projectorTx, func(tx pgx.Tx) error {
		err := read(tx)
		if errors.Is(err, pgx.ErrNoRows) {
			if _, err = tx.Exec(ctx, createCheckpoint, p.Name, p.Version); err == nil {
				err = read(tx)
			}
		}
		return err
	})
	if err != nil {
		return c, fmt.Errorf("load the checkpoint of %s: %w", p.Name, err)
	}
	if version != p.Version {
		return c, &versionError{stored: version, own: p.Version}
	}
	return c, nil
}

// advance applies events (none for an idle advance) and moves the checkpoint
// from one position to another, in one transaction. It is errFenced when the
// checkpoint is not at from, and a [poisonError] when the fault is in an event.
func advance(ctx context.Context, pool *pgxpool.Pool, p *Projection, from, to eventstore.Position, events []follow.Event) error {
	return inProjectorTx(ctx, pool, p, from, func(ctx context.Context, tx pgx.Tx) error {
		if len(events) > 0 {
			if err := applySafely(ctx, tx, p.Apply, events); err != nil {
				if permanent(ctx, tx, err) {
					return &poisonError{position: events[0].Position, cause: err}
				}
				return fmt.Errorf("apply to %s: %w", p.Name, err)
			}
		}
		batch := &pgx.Batch{}
		batch.Queue(moveCheckpoint, p.Name, to)
		if p.Core {
			batch.Queue(notify, announcement{name: p.Name, version: p.Version, position: to}.String())
		}
		return tx.SendBatch(ctx, batch).Close()
	})
}

// halt records that the projection cannot get past an event.
func halt(ctx context.Context, pool *pgxpool.Pool, p *Projection, at eventstore.Position, poison *poisonError) error {
	const longest = 2000
	reason := validText(poison.cause.Error(), longest)
	return inProjectorTx(ctx, pool, p, at, func(ctx context.Context, tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(haltCheckpoint, p.Name, reason, poison.position)
		batch.Queue(notify, announcement{name: p.Name, version: p.Version, position: at, halted: true}.String())
		return tx.SendBatch(ctx, batch).Close()
	})
}

// inProjectorTx runs do in a transaction that holds the checkpoint at a position.
func inProjectorTx(ctx context.Context, pool *pgxpool.Pool, p *Projection, at eventstore.Position, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, txTimeout)
	defer cancel()
	return pgx.BeginTxFunc(ctx, pool, projectorTx, func(tx pgx.Tx) error {
		var version int
		var stored eventstore.Position
		err := tx.QueryRow(ctx, lockCheckpoint, p.Name).Scan(&version, &stored)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && (stored != at || version != p.Version) {
			return errFenced
		}
		if err != nil {
			return fmt.Errorf("lock the checkpoint of %s: %w", p.Name, err)
		}
		return do(ctx, tx)
	})
}
