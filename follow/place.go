package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
)

// BeginRows is how a transaction begins that writes read models.
//
// synchronous_commit is off: what is written is derived, and the place is in
// the same transaction. So a crash of the database that loses the last of them
// loses rows and place together, and they are derived again.
//
// The timeouts are for processes that freeze in the middle: they neither keep
// the place locked for ever nor wait for it for ever.
const BeginRows = beginBounded + `; SET LOCAL synchronous_commit TO off; ` + asProjector

const (
	beginBounded = `BEGIN; SET LOCAL lock_timeout TO '5s'; SET LOCAL idle_in_transaction_session_timeout TO '10s'`

	// Only the projector may write places.
	asProjector = `SET LOCAL ROLE agentidp_projector`
	asServer    = `SET LOCAL ROLE agentidp_server`
)

// TxTimeout bounds a transaction of a follower.
const TxTimeout = time.Minute

// The places of all followers are in one table, whatever they do with events.
const (
	createPlace = `INSERT INTO projection_checkpoints (name, version, position) VALUES ($1, $2, 0) ON CONFLICT (name) DO NOTHING`

	selectPlace = `SELECT version, position FROM projection_checkpoints WHERE name = $1`

	lockPlace = selectPlace + ` FOR UPDATE`

	movePlace = `UPDATE projection_checkpoints
		SET position = $2, state = 'running', error = '', failed_position = NULL, updated_at = now() WHERE name = $1`

	haltPlace = `UPDATE projection_checkpoints
		SET state = 'halted', error = $2, failed_position = $3, updated_at = now() WHERE name = $1`
)

// Place is where a follower is stored to be; it is made, at the ledger's
// beginning, where there is none. The error is a [VersionError] when another
// version is stored.
func Place(ctx context.Context, pool *pgxpool.Pool, name string, version int) (position eventstore.Position, err error) {
	ctx, cancel := context.WithTimeout(ctx, TxTimeout)
	defer cancel()
	var stored int
	read := func(tx pgx.Tx) error { return tx.QueryRow(ctx, selectPlace, name).Scan(&stored, &position) }
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{BeginQuery: BeginRows}, func(tx pgx.Tx) error {
		err := read(tx)
		if errors.Is(err, pgx.ErrNoRows) {
			if _, err = tx.Exec(ctx, createPlace, name, version); err == nil {
				err = read(tx)
			}
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("load the checkpoint of %s: %w", name, err)
	}
	if stored != version {
		return 0, &VersionError{Stored: stored, Own: version}
	}
	return position, nil
}

// place is a follower's own, in the database.
type place struct {
	pool     *pgxpool.Pool
	follower *Follower
}

// advance moves the place from one position to another in a transaction with
// what do writes. It is [ErrFenced] when the place is not at from.
func (p place) advance(ctx context.Context, begin string, from, to eventstore.Position, do func(context.Context, pgx.Tx) error) error {
	return p.hold(ctx, begin, from, func(ctx context.Context, tx pgx.Tx) error {
		if err := do(ctx, tx); err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(movePlace, p.follower.Name, to)
		if p.follower.Core {
			p.announce(batch, to, false)
		}
		return tx.SendBatch(ctx, batch).Close()
	})
}

// halt records that the follower cannot get past an event.
func (p place) halt(ctx context.Context, at eventstore.Position, poison *PoisonError) error {
	const longest = 2000
	reason := validText(poison.Cause.Error(), longest)
	return p.hold(ctx, BeginRows, at, func(ctx context.Context, tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(haltPlace, p.follower.Name, reason, poison.Position)
		p.announce(batch, at, true)
		return tx.SendBatch(ctx, batch).Close()
	})
}

// hold runs do, as the projector, in a transaction that holds the place where
// it is expected to be.
func (p place) hold(ctx context.Context, begin string, at eventstore.Position, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, TxTimeout)
	defer cancel()
	return pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{BeginQuery: begin}, func(tx pgx.Tx) error {
		if err := p.check(tx.QueryRow(ctx, lockPlace, p.follower.Name), at); err != nil {
			return err
		}
		return do(ctx, tx)
	})
}

// isAt is [ErrFenced] when the place is elsewhere.
func (p place) isAt(ctx context.Context, at eventstore.Position) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return p.check(p.pool.QueryRow(ctx, selectPlace, p.follower.Name), at)
}

func (p place) check(row pgx.Row, at eventstore.Position) error {
	var version int
	var stored eventstore.Position
	err := row.Scan(&version, &stored)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && (stored != at || version != p.follower.Version) {
		return ErrFenced
	}
	if err != nil {
		return fmt.Errorf("look at the checkpoint of %s: %w", p.follower.Name, err)
	}
	return nil
}

func (p place) announce(batch *pgx.Batch, position eventstore.Position, halted bool) {
	queueAnnouncement(batch, announcement{name: p.follower.Name, version: p.follower.Version, position: position, halted: halted})
}
