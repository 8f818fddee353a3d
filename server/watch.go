package server

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/server/stores"
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
	if err := stores.CheckHead(ctx, s.store); err != nil {
		return nil, err
	}
	anchor := readmodels.NewAnchor(s.pool, s.store, stores.NewQueries(f.config, s.pool, s.store))
	known, err := stores.CheckEnd(ctx, f.config.CheckpointFile, f.config.LedgerOrigin, anchor, s.store)
	if err != nil {
		return nil, stores.AdoptFirst(err)
	}
	if engine, keeps := s.store.(interface{ Expect(eventstore.Position) }); keeps {
		engine.Expect(known)
	}
	if err := stores.CheckShared(ctx, s.pool, stores.SharedSettings(f.config)...); err != nil {
		return nil, err
	}
	return &watch{frame: f, storage: s, anchor: anchor}, nil
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
				return stores.AdoptFirst(err)
			}
			switch lost := errors.As(err, new(*eventstore.LostError)); {
			case lost && !w.lost.Swap(true):
				w.logger.ErrorContext(ctx, "nothing is written and no token is vouched for", "error", stores.AdoptFirst(err))
			case err == nil && w.lost.Swap(false):
				w.logger.InfoContext(ctx, "the ledger has all its events again")
			}
			if err := stores.CheckShared(ctx, w.pool, stores.SharedSettings(w.config)...); errors.As(err, new(stores.OtherSettings)) {
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
