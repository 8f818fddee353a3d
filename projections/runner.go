package projections

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/lease"
)

// RunnerOptions tune a [Runner]; the zero value is good.
type RunnerOptions struct {
	Logger *slog.Logger // default: discards
	// Standby is how often a lease that another process has is asked for.
	// Default: 700 ms.
	Standby time.Duration
	// HaltedRetry is how often a halted projection looks at its event again,
	// which a newer build may understand. Default: 15 s.
	HaltedRetry time.Duration
	// Progress is told where the projections are; may be nil.
	Progress *Progress
}

// Runner keeps projections running, each of them in one process at a time.
//
// Failures of the store or of the database are retried for ever. An event that
// cannot be applied halts its projection: the events before it are applied,
// the checkpoint stands right before it, and projection_checkpoints says why.
type Runner struct {
	pool        *pgxpool.Pool
	store       eventstore.Store
	options     RunnerOptions
	projections []Projection
}

// NewRunner makes a runner on the server's pool.
func NewRunner(pool *pgxpool.Pool, store eventstore.Store, projections []Projection, options RunnerOptions) *Runner {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Standby <= 0 {
		options.Standby = 700 * time.Millisecond
	}
	if options.HaltedRetry <= 0 {
		options.HaltedRetry = 15 * time.Second
	}
	if options.Progress == nil {
		options.Progress = NewProgress(pool, store, projections, ProgressOptions{})
	}
	return &Runner{pool: pool, store: store, options: options, projections: projections}
}

// Run runs until ctx ends and everything has stopped.
func (r *Runner) Run(ctx context.Context) {
	leases := lease.New(r.pool, "agentidp projections")
	defer leases.Keep()() // until the last transaction has ended

	var workers sync.WaitGroup
	for i := range r.projections {
		w := &worker{
			backoff: newBackoff(),
			runner:  r, leases: leases, projection: &r.projections[i],
			logger: r.options.Logger.With("projection", r.projections[i].Name),
		}
		workers.Go(func() { w.run(ctx) })
	}
	workers.Wait()
}
