package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay"
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
// [projections.ErrRunning], one of [replay.Extends], or that it could not be done.
func (l *Ledger) Adopt(ctx context.Context, progress AdoptProgress) ([]projections.Rebuilt, error) {
	anchor := l.anchor()
	if err := anchor.Check(ctx); err == nil {
		return nil, ErrAdopted
	} else if !errors.Is(err, projections.ErrOtherLedger) {
		return nil, err
	}
	release, err := projections.Seize(ctx, l.Pool)
	if err != nil {
		return nil, err
	}
	defer release()
	known, err := transparency.NewLogs(l.Pool).State(ctx, transparency.Whole)
	if err != nil {
		return nil, err
	}
	if err := replay.Extends(ctx, l.Store, known.Tree, progress.Proven); err != nil {
		return nil, err
	}
	rebuilt := projections.NewRebuilder(l.Pool, l.Store, projections.RebuildOptions{Restart: true, Moved: true, Report: progress.Rebuild}).
		Rebuild(ctx, projections.All()...)
	if err := projections.RebuildError(rebuilt); err != nil {
		return rebuilt, err
	}
	if err := replaceShared(ctx, l.Pool, ledgerOrigin(l.c)); err != nil { // a moved ledger has a new one
		return rebuilt, err
	}
	if err := l.forgetPositions(ctx); err != nil {
		return rebuilt, err
	}
	return rebuilt, anchor.Move(ctx)
}

func (l *Ledger) anchor() *projections.Anchor {
	return projections.NewAnchor(l.Pool, l.Store, l.Queries())
}

// EndTokens ends every access token and ID token that is out, whoever issued it:
// the signing keys are deleted, and the next server that starts makes others. No
// server may run meanwhile: the error is [projections.ErrRunning] then.
func (l *Ledger) EndTokens(ctx context.Context) error {
	release, err := projections.Seize(ctx, l.Pool)
	if err != nil {
		return err
	}
	defer release()
	return l.deleteAll(ctx, "signing_keys")
}

// forgetPositions deletes what holds positions and is not derived anew.
func (l *Ledger) forgetPositions(ctx context.Context) error {
	return l.deleteAll(ctx, "signing_keys", "verifications", "revocation_snapshot", "ledger_anchor")
}

// deleteAll empties tables. The server's role may not: it is done by the owner
// of the database.
func (l *Ledger) deleteAll(ctx context.Context, tables ...string) error {
	owner, err := pgx.Connect(ctx, l.c.MigrateDatabaseURL)
	if err != nil {
		return errors.New("MIGRATE_DATABASE_URL: " + reason(err))
	}
	defer func() { _ = owner.Close(context.WithoutCancel(ctx)) }() // what counts is committed by then
	err = pgx.BeginFunc(ctx, owner, func(tx pgx.Tx) error {
		for _, table := range tables {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table); err != nil {
				return fmt.Errorf("%s, as MIGRATE_DATABASE_URL: %w", table, err)
			}
		}
		return nil
	})
	return err
}
