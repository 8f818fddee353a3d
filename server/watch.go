package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// watch sees to it that the ledger is the database's and keeps all its events.
type watch struct {
	frame
	*storage
	anchor *readmodels.Anchor
	lost   atomic.Bool // the ledger lacks events that it had
}

// recognize makes sure that the ledger is the database's and that its servers have
// these settings: before any key is loaded, since an adoption by another ledger takes
// the keys away.
func recognize(ctx context.Context, f frame, s *storage) (*watch, error) {
	if err := checkHead(ctx, s.store); err != nil {
		return nil, err
	}
	anchor := readmodels.NewAnchor(s.pool, s.store, newQueries(f.config, s.pool, s.store))
	known, err := checkEnd(ctx, f.config.CheckpointFile, f.config.LedgerOrigin, anchor, s.store)
	if err != nil {
		return nil, adoptFirst(err)
	}
	if engine, keeps := s.store.(interface{ Expect(eventstore.Position) }); keeps {
		engine.Expect(known)
	}
	if err := checkShared(ctx, s.pool, sharedSettings(f.config)...); err != nil {
		return nil, err
	}
	return &watch{frame: f, storage: s, anchor: anchor}, nil
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

// run ends with an error when the database has been adopted by another ledger or for
// other settings: a server with the old ones must not go on.
func (w *watch) run(ctx context.Context) error {
	const interval = 10 * time.Second
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			err := errors.Join(w.anchor.Check(ctx), w.checkExtent(ctx))
			if errors.Is(err, eventstore.ErrOtherLedger) {
				return adoptFirst(err)
			}
			switch lost := errors.As(err, new(*eventstore.LostError)); {
			case lost && !w.lost.Swap(true):
				w.logger.ErrorContext(ctx, "nothing is written and no token is vouched for", "error", adoptFirst(err))
			case err == nil && w.lost.Swap(false):
				w.logger.InfoContext(ctx, "the ledger has all its events again")
			}
			if err := checkShared(ctx, w.pool, sharedSettings(w.config)...); errors.As(err, new(otherSettings)) {
				return err
			}
		}
	}
}

// checkExtent compares the ledger's end with what this server has seen of it.
func (w *watch) checkExtent(ctx context.Context) error {
	_, err := eventstore.WholeHead(ctx, w.store, 0)
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
