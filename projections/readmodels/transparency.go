package readmodels

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// Logs names the projection that readers of proofs wait for, with
// [projections.Progress.WaitFor].
const Logs = "transparency"

// Transparency is the projection that turns the ledger into logs. It takes
// every event, whatever it says. Nobody waits for single events, so it takes
// them in larger batches.
func Transparency() projections.Projection {
	return projections.Projection{
		Name: Logs, Version: 1, Tables: []string{"transparency_logs", "transparency_tiles"}, Undecoded: true,
		Pace: 200 * time.Millisecond, Apply: applyTransparency,
	}
}

func applyTransparency(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	leaves := make([]transparency.Leaf, len(events))
	for i, e := range events {
		leaves[i] = transparency.Leaf{Organization: e.Organization, Position: e.Position, Entry: e.Hash}
	}
	return transparency.Append(ctx, tx, leaves)
}
