package projections

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/internal/lease"
)

// leaseOf names the right to run a projection.
func leaseOf(p Projection) string {
	f := p.follower()
	return f.Lease()
}

// Attended names those of the projections that a server runs at the moment.
func Attended(ctx context.Context, pool *pgxpool.Pool, list []Projection) (attended []string, err error) {
	leases := make([]string, len(list))
	for i, p := range list {
		leases[i] = leaseOf(p)
	}
	held, err := lease.Held(ctx, pool, leases...)
	if err != nil {
		return nil, fmt.Errorf("look who runs the projections: %w", err)
	}
	for i, p := range list {
		if slices.Contains(held, leases[i]) {
			attended = append(attended, p.Name)
		}
	}
	return attended, nil
}

// Seize keeps all servers from running the projections until release is called. The
// error is [ErrRunning] when one is at work already.
func Seize(ctx context.Context, pool *pgxpool.Pool, list []Projection) (release func(), err error) {
	leases := lease.New(pool, follow.Session)
	release = leases.Keep()
	for _, p := range list {
		held, err := leases.Acquire(ctx, leaseOf(p))
		if err == nil && held == nil {
			err = ErrRunning
		}
		if err != nil {
			release()
			return nil, err
		}
	}
	return release, nil
}
