package upkeep

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/move"
	"github.com/sentryagent/agentidp/server/stores"
)

// AdoptProgress is told where an adoption is; both may be called often.
type AdoptProgress struct {
	Proven  func(events int)               // more of the ledger agree with what is known of it
	Rebuild func(projections.RebuildState) // of a read model
}

// ErrAdopted: the database belongs to the ledger already.
var ErrAdopted = errors.New("the database belongs to this ledger already")

// Adopt ties the database to the ledger of the configuration, which has been moved
// there from another engine, where all positions are others. First the ledger is
// proven to go on from what the database knows of it. Then what holds positions is
// made anew: all read models, and, so that access tokens from before end, the
// signing keys, by the next server that starts.
//
// No server may run meanwhile, nor starts one before it is done. One that was
// stopped or killed is called again. The error is [ErrAdopted],
// [projections.ErrRunning], one of [move.Extends], or that it could not be done.
func (l *Ledger) Adopt(ctx context.Context, progress AdoptProgress) ([]projections.Rebuilt, error) {
	return l.adopt(ctx, progress, holdPositions, func(ctx context.Context, _ *eventstore.LostError) error {
		moved, err := l.anchor().Moved(ctx)
		if err != nil {
			return err
		}
		if !moved {
			return fmt.Errorf("%w: it is where it was, and lacks events that it had", move.ErrNoExtension)
		}
		known, err := transparency.NewLogs(l.Pool).State(ctx, transparency.Whole)
		if err != nil {
			return err
		}
		return move.Extends(ctx, l.Store, known.Tree, progress.Proven)
	})
}

// adopt ties the database to the ledger, once it is proven that it may be, and
// empties some tables. The proof hears what is lost of the ledger's end, as far as
// that is known.
func (l *Ledger) adopt(ctx context.Context, progress AdoptProgress, forgotten []string, prove func(context.Context, *eventstore.LostError) error) ([]projections.Rebuilt, error) {
	anchor := l.anchor()
	former, err := l.origin(ctx)
	if err != nil {
		return nil, err
	}
	var lost *eventstore.LostError
	if _, err := stores.CheckEnd(ctx, l.c.CheckpointFile, former, anchor, l.Store); err == nil {
		if err := stores.ReplaceShared(ctx, l.Pool, stores.LedgerEngine(l.c)); err != nil {
			return nil, err
		}
		return nil, ErrAdopted
	} else if !errors.Is(err, eventstore.ErrOtherLedger) && !errors.As(err, &lost) {
		return nil, err
	}
	release, err := projections.Seize(ctx, l.Pool, readmodels.All())
	if err != nil {
		return nil, err
	}
	defer release()
	if err := prove(ctx, lost); err != nil {
		return nil, err
	}
	rebuilt := projections.NewRebuilder(l.Pool, l.Store, projections.RebuildOptions{Restart: true, Moved: true, Report: progress.Rebuild}).
		Rebuild(ctx, readmodels.All()...)
	if err := projections.RebuildError(rebuilt); err != nil {
		return rebuilt, err
	}
	if err := l.forget(ctx, forgotten, stores.LedgerOrigin(l.c), stores.LedgerEngine(l.c)); err != nil { // the ledger has others
		return rebuilt, err
	}
	return rebuilt, anchor.Move(ctx)
}

func (l *Ledger) anchor() *readmodels.Anchor {
	return readmodels.NewAnchor(l.Pool, l.Store, l.Queries())
}

// EndTokens ends every access token and ID token that is out, whoever issued it:
// the signing keys are deleted, and the next server that starts makes others. No
// server may run meanwhile: the error is [projections.ErrRunning] then.
func (l *Ledger) EndTokens(ctx context.Context) error {
	release, err := projections.Seize(ctx, l.Pool, readmodels.All())
	if err != nil {
		return err
	}
	defer release()
	return l.forget(ctx, []string{"signing_keys"})
}

// What holds positions and is not derived anew; and what was kept of a ledger that
// has lost events since: the states of aggregates and the answers to requests.
var (
	holdPositions = []string{"signing_keys", "verifications", "revocation_snapshot", "ledger_anchor"}
	holdLost      = append(slices.Clone(holdPositions), "snapshots", "idempotency_keys")
)

// forget empties tables and changes settings that all servers share, both or
// neither. The server's role may not empty them: it is done by the owner of the
// database.
func (l *Ledger) forget(ctx context.Context, tables []string, settings ...stores.Shared) error {
	owner, err := pgx.Connect(ctx, l.c.MigrateDatabaseURL)
	if err != nil {
		return errors.New("MIGRATE_DATABASE_URL: " + stores.Reason(err))
	}
	defer func() { _ = owner.Close(context.WithoutCancel(ctx)) }() // what counts is committed by then
	return pgx.BeginFunc(ctx, owner, func(tx pgx.Tx) error {
		for _, table := range tables {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table); err != nil {
				return fmt.Errorf("%s, as MIGRATE_DATABASE_URL: %w", table, err)
			}
		}
		return stores.ReplaceShared(ctx, tx, settings...)
	})
}
