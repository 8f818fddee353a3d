package projections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
)

// RunnerOptions tune [NewRunner]; the zero value is good.
type RunnerOptions = follow.RunnerOptions

// NewRunner makes a runner that keeps read models live, on the server's pool.
func NewRunner(pool *pgxpool.Pool, store eventstore.Store, list []Projection, options RunnerOptions) *follow.Runner {
	return follow.NewRunner(pool, store, Followers(pool, store, list, options.Logger), options)
}

// Followers keep read models live. One that is of an older version is rebuilt first.
func Followers(pool *pgxpool.Pool, store eventstore.Store, list []Projection, logger *slog.Logger) []follow.Follower {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	followers := make([]follow.Follower, len(list))
	for i, p := range list {
		followers[i] = p.follower()
		followers[i].Prepare = func(ctx context.Context) error { return renew(ctx, pool, store, p, logger) }
	}
	return followers
}

func (p *Projection) follower() follow.Follower {
	return follow.Follower{
		Name: p.Name, Version: p.Version, Types: p.Types, Core: p.Core, Pace: p.Pace, Undecoded: p.Undecoded,
		Sink: follow.Rows(p.Apply),
	}
}

// renew rebuilds a read model that is of an older version. It does so without
// the lease: until the switch the runner of an older build may go on with the
// live tables.
func renew(ctx context.Context, pool *pgxpool.Pool, store eventstore.Store, p Projection, logger *slog.Logger) error {
	_, err := follow.Place(ctx, pool, p.Name, p.Version)
	var version *follow.VersionError
	switch {
	case outdated(err):
		logger.Info("the stored read model is of an older version and is rebuilt", "projection", p.Name, "version", p.Version)
		rebuilder := NewRebuilder(pool, store, RebuildOptions{Logger: logger})
		if err := rebuilder.Rebuild(ctx, p)[0].Err; err != nil {
			return fmt.Errorf("rebuild: %w", err)
		}
	case err != nil && !errors.As(err, &version):
		return err
	}
	return nil
}
