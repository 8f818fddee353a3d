package stores

import (
	"context"
	"errors"
	"fmt"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// CheckEnd makes sure that the ledger is the database's and has all that is known
// of it, by the database and by what was signed under an origin. It tells up to
// where that goes.
func CheckEnd(ctx context.Context, checkpoints, origin string, anchor *readmodels.Anchor, store eventstore.Store) (eventstore.Position, error) {
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

// CheckHead makes sure of an engine that keeps its head beside its events that the
// two agree.
func CheckHead(ctx context.Context, store Engine) error {
	if engine, keeps := store.(interface{ CheckHead(context.Context) error }); keeps {
		return engine.CheckHead(ctx)
	}
	return nil
}

// AdoptFirst says what to do when the ledger is not the one that is known.
func AdoptFirst(err error) error {
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
