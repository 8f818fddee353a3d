package replay

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
	const telling = 1000 // events
	ledger := newCopySide("ledger", store)
	if log.Size() == 0 {
		return nil
	}
	for event, err := range store.ReadAll(ctx, 0, eventstore.Filter{}) {
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		if err := ledger.check(&event); err != nil {
			return err
		}
		ledger.take(&event)
		if ledger.whole.Size()%telling == 0 {
			progress(telling)
		}
		if ledger.whole.Size() == log.Size() {
			if ledger.whole.Root() != log.Root() {
				return fmt.Errorf("%w: its first %d events are others", ErrNoExtension, log.Size())
			}
			return nil
		}
	}
	return fmt.Errorf("%w: it has %d events, %d are known", ErrNoExtension, ledger.whole.Size(), log.Size())
}
