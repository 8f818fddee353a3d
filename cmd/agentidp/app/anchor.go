package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/projections"
)

// openLedger opens the ledger and makes sure that it is the database's: before any
// key is loaded, since an adoption by another ledger takes the keys away.
func (a *App) openLedger(ctx context.Context) (err error) {
	if a.store, err = openEngine(ctx, a.config, a.pool, a.logger, a.registry); err != nil {
		return err
	}
	if err := checkHead(ctx, a.store); err != nil {
		return err
	}
	a.queries = newQueries(a.config, a.pool, a.store)
	a.anchor = projections.NewAnchor(a.pool, a.store, a.queries)
	return adoptFirst(a.anchor.Check(ctx))
}

// checkHead makes sure of an engine that keeps its head beside its events that the
// two agree.
func checkHead(ctx context.Context, store Engine) error {
	if engine, keeps := store.(interface{ CheckHead(context.Context) error }); keeps {
		return engine.CheckHead(ctx)
	}
	return nil
}

// watchLedger ends with an error when the database has been adopted by another
// ledger or for other settings: a server with the old ones must not go on.
func (a *App) watchLedger(ctx context.Context) error {
	const interval = 10 * time.Second
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := a.anchor.Check(ctx); errors.Is(err, projections.ErrOtherLedger) {
				return adoptFirst(err)
			}
			if err := checkShared(ctx, a.pool, sharedSettings(a.config)...); errors.As(err, new(otherSettings)) {
				return err
			}
		}
	}
}

// adoptFirst says what to do when the database is another ledger's.
func adoptFirst(err error) error {
	if errors.Is(err, projections.ErrOtherLedger) {
		return fmt.Errorf("%w. Check EVENTSTORE, ESDB_URL and DATABASE_URL; where the ledger has been moved, run: agentidp ledger adopt", err)
	}
	return err
}
