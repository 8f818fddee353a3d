package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// openLedger opens the ledger and makes sure that it is the database's: before any
// key is loaded, since an adoption by another ledger takes the keys away.
func (a *App) openLedger(ctx context.Context) (err error) {
	if warning := config.TransportOf(a.config.ESDBURL).Warning(); warning != "" && a.config.EventStore == config.EventStoreESDB {
		a.logger.WarnContext(ctx, warning+"; see docs/runbooks/eventstoredb.md")
	}
	if a.store, err = openEngine(ctx, a.config, a.pool, a.logger, a.registry); err != nil {
		return err
	}
	a.door = a.openDoor(ctx, a.version)
	if err := checkHead(ctx, a.store); err != nil {
		return err
	}
	a.queries = newQueries(a.config, a.pool, a.store)
	a.anchor = readmodels.NewAnchor(a.pool, a.store, a.queries)
	known, err := checkEnd(ctx, a.config.CheckpointFile, a.config.LedgerOrigin, a.anchor, a.store)
	if err != nil {
		return adoptFirst(err)
	}
	if engine, keeps := a.store.(interface{ Expect(eventstore.Position) }); keeps {
		engine.Expect(known)
	}
	return nil
}

// checkEnd makes sure that the ledger is the database's and has all that is known
// of it, by the database and by what was signed under an origin. It tells up to
// where that goes.
func checkEnd(ctx context.Context, checkpoints, origin string, anchor *readmodels.Anchor, store eventstore.Store) (eventstore.Position, error) {
	if err := anchor.Check(ctx); err != nil {
		return 0, err
	}
	known, err := anchor.CheckEnd(ctx)
	if err != nil {
		return known, err
	}
	signed, err := transparency.OpenMemory(checkpoints).Load()
	if err != nil {
		return known, nil // the signer says so, and signs nothing
	}
	newest := signed[transparency.Origin(origin, transparency.Whole)].Position
	_, err = eventstore.WholeHead(ctx, store, newest)
	return max(known, newest), err
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
			err := errors.Join(a.anchor.Check(ctx), a.checkExtent(ctx))
			if errors.Is(err, eventstore.ErrOtherLedger) {
				return adoptFirst(err)
			}
			switch lost := errors.As(err, new(*eventstore.LostError)); {
			case lost && !a.lost.Swap(true):
				a.logger.ErrorContext(ctx, "nothing is written and no token is vouched for", "error", adoptFirst(err))
			case err == nil && a.lost.Swap(false):
				a.logger.InfoContext(ctx, "the ledger has all its events again")
			}
			if err := checkShared(ctx, a.pool, sharedSettings(a.config)...); errors.As(err, new(otherSettings)) {
				return err
			}
		}
	}
}

// checkExtent compares the ledger's end with what this server has seen of it.
func (a *App) checkExtent(ctx context.Context) error {
	_, err := eventstore.WholeHead(ctx, a.store, 0)
	return err
}

// adoptFirst says what to do when the ledger is not the one that is known.
func adoptFirst(err error) error {
	switch {
	case errors.Is(err, eventstore.ErrOtherLedger):
		return fmt.Errorf("%w. Check EVENTSTORE, ESDB_URL and DATABASE_URL; where the ledger has been moved, run: agentidp ledger adopt; "+
			"where its store was restored to an earlier state, see docs/runbooks/lost-events.md", err)
	case errors.As(err, new(*eventstore.LostError)):
		return fmt.Errorf("%w. Check EVENTSTORE, ESDB_URL and DATABASE_URL, and put the right store back; "+
			"where the ledger has been moved, run: agentidp ledger adopt; where the events are lost for good, see docs/runbooks/lost-events.md", err)
	}
	return err
}
