package projections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/internal/lease"
	"github.com/sentryagent/agentidp/internal/pg"
	"github.com/sentryagent/agentidp/internal/wait"
)

// shadow is a read model in schema next, on its way to become the live one.
// Only the holder of its lease begins to work on it. A holder that has lost the
// lease without knowing goes on until somebody else has: each transaction has to
// find the shadow's position where the one before left it.
type shadow struct {
	derivation
	head   eventstore.Position // of the ledger, when last looked at
	logger *slog.Logger
}

const (
	selectRebuild = `SELECT version, position, tables, fits_live(name) FROM projection_rebuilds WHERE name = $1`

	beginRebuild = `SELECT begin_rebuild($1, $2, $3, $4, $5, $6)`

	holdRebuild = `UPDATE projection_rebuilds SET holder = $2, updated_at = now() WHERE name = $1`

	moveRebuild = `UPDATE projection_rebuilds SET position = $4, head = $5, updated_at = now()
		WHERE name = $1 AND version = $2 AND position = $3`

	// A backend whose client has been killed shall not work on: it holds locks.
	noticeDeath = `SET client_connection_check_interval TO '1s'`
)

// leaseWait is longer than a holder that was killed or is frozen keeps its lease.
const leaseWait = 2 * lease.Silence

// open gets hold of the shadow of a projection: that of an earlier rebuild of
// the same version, or a new one at position 0.
func (r *Rebuilder) open(ctx context.Context, leases *lease.Leases, p *Projection) (_ *shadow, err error) {
	if len(p.Tables) == 0 {
		return nil, errors.New("it has no tables")
	}
	conn, err := pg.Connect(ctx, r.pool, "agentidp rebuild "+p.Name)
	if err != nil {
		return nil, err
	}
	s := &shadow{derivation: *newDerivation(p, conn, "next"), logger: r.options.Logger.With("projection", p.Name)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.save = s.saved
	s.moved = func(eventstore.Position) { r.reportStage(s, Filling) }
	_, _ = conn.Exec(ctx, noticeDeath) // not every platform has it
	if err := s.lease(ctx, leases); err != nil {
		return nil, err
	}
	if s.head, err = r.store.Head(ctx); err != nil {
		return nil, err
	}
	if _, err := follow.Place(ctx, r.pool, p.Name, p.Version); err != nil && !outdated(err) {
		return nil, err
	}
	return s, s.prepare(ctx, r.options.Restart)
}

// outdated reports whether an error is that the stored read model is of an
// older version than this build's: what a rebuild is for.
func outdated(err error) bool {
	var version *follow.VersionError
	return errors.As(err, &version) && version.Stored < version.Own
}

// lease waits for the right to work on the shadow.
func (s *shadow) lease(ctx context.Context, leases *lease.Leases) error {
	const retry = 100 * time.Millisecond
	for deadline := time.Now().Add(leaseWait); ; {
		held, err := leases.Acquire(ctx, "agentidp rebuild of "+s.projection.Name)
		if err != nil || held != nil {
			return err
		}
		if time.Now().After(deadline) {
			return ErrRebuilding
		}
		if err := wait.For(ctx, wait.Jitter(retry)); err != nil {
			return err
		}
	}
}

// prepare finds the tables of an earlier rebuild, or makes them.
func (s *shadow) prepare(ctx context.Context, restart bool) error {
	return pgx.BeginTxFunc(ctx, s.conn, s.begin, func(tx pgx.Tx) error {
		p := s.projection
		var version int
		var tables []string
		var fits bool
		err := tx.QueryRow(ctx, selectRebuild, p.Name).Scan(&version, &s.position, &tables, &fits)
		switch {
		case err == nil && version == p.Version && slices.Equal(tables, p.Tables) && fits && !restart:
			s.newest = s.position
			_, err = tx.Exec(ctx, holdRebuild, p.Name, holder())
			s.logger.Info("rebuild resumes", "position", s.position, "head", s.head)
			return err
		case err != nil && !errors.Is(err, pgx.ErrNoRows):
			return err
		}
		s.position = 0
		bare := []string{}
		if p.Bulk != nil {
			bare = append(bare, p.Bulk.Bare...)
		}
		_, err = tx.Exec(ctx, beginRebuild, p.Name, p.Version, s.head, p.Tables, bare, holder())
		s.logger.Info("rebuild begins", "version", p.Version, "head", s.head)
		return err
	})
}

// holder names this process to operators.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}

// saved moves the shadow's position, in the transaction that brings its rows there.
// The error is [follow.ErrFenced] when somebody else has worked on the shadow.
func (s *shadow) saved(ctx context.Context, tx pgx.Tx, from, to eventstore.Position) error {
	s.head = max(s.head, to)
	moved, err := tx.Exec(ctx, moveRebuild, s.projection.Name, s.projection.Version, from, to, s.head)
	if err == nil && moved.RowsAffected() != 1 {
		return follow.ErrFenced
	}
	return err
}

// finish makes the indexes that the live tables have, and their statistics.
func (s *shadow) finish(ctx context.Context) error {
	for {
		var index *string
		err := pgx.BeginTxFunc(ctx, s.conn, s.begin, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, `SELECT finish_rebuild($1)`, s.projection.Name).Scan(&index)
		})
		if err != nil {
			return fmt.Errorf("make indexes: %w", err)
		}
		if index == nil {
			break
		}
		s.logger.Info("rebuild has made an index", "index", *index)
	}
	return pgx.BeginTxFunc(ctx, s.conn, s.begin, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT analyze_next($1)`, s.projection.Name)
		return err
	})
}

// dropPrevious drops the tables that were live. Nobody can reach them any more;
// where it fails, the next rebuild does it.
func (s *shadow) dropPrevious(ctx context.Context) {
	err := pgx.BeginTxFunc(ctx, s.conn, s.begin, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT drop_previous($1)`, s.projection.Tables)
		return err
	})
	if err != nil {
		s.logger.Warn("the tables that were replaced are still there, in schema previous", "error", err)
	}
}

// close ends the session.
func (s *shadow) close() { pg.Discard(s.conn) }
