package projections

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
)

// Readers wait for read models by these.
type (
	Progress        = follow.Progress
	ProgressOptions = follow.ProgressOptions
	Status          = follow.Status
	RebuildStatus   = follow.RebuildStatus
	BehindError     = follow.BehindError
)

// NewProgress knows of nothing until [Progress.Run] runs or a runner reports.
func NewProgress(pool *pgxpool.Pool, store eventstore.Store, list []Projection, options ProgressOptions) *Progress {
	followers := make([]follow.Follower, len(list))
	for i := range list {
		followers[i] = list[i].follower()
	}
	return follow.NewProgress(pool, store, followers, options)
}
