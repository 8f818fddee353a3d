package upkeep

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/move"
)

// ErrSameOrigin: LEDGER_ORIGIN is still the name that what is lost was signed under.
var ErrSameOrigin = errors.New("LEDGER_ORIGIN must be another name than before: what was signed under this one goes on past what is left")

// AdoptWithLoss is [Ledger.Adopt] of a ledger whose store came back without its
// newest events, or went on without them. The loss is put on record in the ledger
// before anything is derived anew. The error may be [ErrSameOrigin] as well.
func (l *Ledger) AdoptWithLoss(ctx context.Context, progress AdoptProgress) (domain.EventsLost, []projections.Rebuilt, error) {
	former, err := l.origin(ctx)
	if err != nil {
		return domain.EventsLost{}, nil, err
	}
	loss := domain.EventsLost{Origin: l.c.LedgerOrigin, FormerOrigin: former}
	rebuilt, err := l.adopt(ctx, progress, holdLost, func(ctx context.Context, lost *eventstore.LostError) error {
		if former == l.c.LedgerOrigin {
			return ErrSameOrigin
		}
		remains, err := move.Remaining(ctx, l.Store, transparency.NewLogs(l.Pool), progress.Proven)
		if err != nil {
			return err
		}
		loss.Kept, loss.Known, loss.KnownRoot = remains.Kept, remains.Known, remains.Root
		if lost != nil {
			loss.End, loss.KnownEnd = int64(lost.Head), int64(lost.Known)
		}
		signed, err := transparency.OpenMemory(l.c.CheckpointFile).Load()
		if err != nil {
			return err
		}
		if newest := signed[transparency.Origin(former, transparency.Whole)]; newest.Size > loss.Known {
			loss.Known, loss.KnownRoot = newest.Size, newest.Root.String()
		}
		return ledger.RecordLoss(ctx, l.Store, loss)
	})
	return loss, rebuilt, err
}

// origin is the LEDGER_ORIGIN of the servers before, our own where there were none.
func (l *Ledger) origin(ctx context.Context) (origin string, err error) {
	err = l.Pool.QueryRow(ctx, `SELECT value FROM shared_settings WHERE name = 'LEDGER_ORIGIN'`).Scan(&origin)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return l.c.LedgerOrigin, nil
	case err != nil:
		return "", fmt.Errorf("read the shared settings: %w", err)
	}
	return origin, nil
}
