package move

import (
	"context"
	"fmt"
	"iter"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// Remains is how a ledger that has lost events agrees with the log of the whole
// that was kept of it before.
type Remains struct {
	Kept  int64  // of the log's events, from the first on
	Known int64  // events of the log
	Root  string // of the log, in base64
	Other int64  // events that the ledger has behind those kept: it went on another way
}

// Remaining compares a ledger with a log of the whole, event by event. The error is
// [ErrNoExtension] where not even the first is the same, an [*eventstore.Break]
// where the ledger does not hold in itself, and else that one of them could not be
// read. Progress is told of events as they are read.
func Remaining(ctx context.Context, store eventstore.Store, logs *transparency.Logs, progress func(events int)) (Remains, error) {
	log, err := logs.State(ctx, transparency.Whole)
	if err != nil {
		return Remains{}, err
	}
	remains := Remains{Known: log.Size(), Root: log.Root().String()}
	entries, stop := iter.Pull2(logs.Entries(ctx, transparency.Whole, 0, log.Size()))
	defer stop()
	ledger := newCopySide("ledger", store)
	for event, err := range store.ReadAll(ctx, 0, eventstore.Filter{}) {
		if err != nil {
			return remains, fmt.Errorf("read the ledger: %w", err)
		}
		if err := ledger.check(&event); err != nil {
			return remains, err
		}
		ledger.at = event.Position
		progress(1)
		if remains.Other > 0 {
			remains.Other++
			continue
		}
		entry, err, logged := entries()
		switch {
		case err != nil:
			return remains, fmt.Errorf("read the log: %w", err)
		case logged && entry == event.Hash:
			remains.Kept++
		default:
			remains.Other++
		}
	}
	if remains.Kept == 0 && remains.Known > 0 {
		return remains, fmt.Errorf("%w: its first event is another one", ErrNoExtension)
	}
	return remains, nil
}
