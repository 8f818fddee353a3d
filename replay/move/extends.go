package move

import (
	"context"
	"errors"
	"fmt"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// ErrNoExtension: a ledger does not begin as a log says.
var ErrNoExtension = errors.New("the ledger does not go on from what is known of it")

// Extends makes sure that a ledger begins with just the events of a log of the
// whole, which may have been kept while the ledger was on another engine. The
// error is [ErrNoExtension] where it does not, an [*eventstore.Break] where the
// ledger does not hold in itself, and else that it could not be read. Progress is
// told of events as they are read.
func Extends(ctx context.Context, store eventstore.Store, log *transparency.Tree, progress func(events int)) error {
	short, err := extends(ctx, store, log, progress)
	if short {
		_, err = extends(ctx, store, log, progress) // looked at twice: it is a finding by the length alone
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("read the ledger: %w", ctx.Err())
	}
	return err
}

func extends(ctx context.Context, store eventstore.Store, log *transparency.Tree, progress func(events int)) (short bool, err error) {
	const telling = 1000 // events
	ledger := newCopySide("ledger", store)
	if log.Size() == 0 {
		return false, nil
	}
	for event, err := range store.ReadAll(ctx, 0, eventstore.Filter{}) {
		if err != nil {
			return false, fmt.Errorf("read the ledger: %w", err)
		}
		if err := ledger.check(&event); err != nil {
			return false, err
		}
		ledger.take(&event)
		if ledger.whole.Size()%telling == 0 {
			progress(telling)
		}
		if ledger.whole.Size() == log.Size() {
			if ledger.whole.Root() != log.Root() {
				return false, fmt.Errorf("%w: its first %d events are others", ErrNoExtension, log.Size())
			}
			return false, nil
		}
	}
	return true, fmt.Errorf("%w: it has %d events, %d are known", ErrNoExtension, ledger.whole.Size(), log.Size())
}
