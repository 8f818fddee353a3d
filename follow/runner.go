package follow

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/lease"
	"github.com/sentryagent/agentidp/internal/wait"
)

// RunnerOptions tune a [Runner]; the zero value is good.
type RunnerOptions struct {
	Logger *slog.Logger // default: discards
	// Standby is how often a lease that another process has is asked for.
	// Default: 700 ms.
	Standby time.Duration
	// HaltedRetry is how often a halted follower looks at its event again,
	// which a newer build may understand. Default: 15 s.
	HaltedRetry time.Duration
	// Progress hears where the followers are; may be nil.
	Progress *Progress
}

// Runner keeps followers running, each of them in one process at a time.
//
// Failures of the store, of the database and of what is outside are retried for
// ever. An event that cannot be taken halts its follower: the events before it
// are taken, the place stands right before it, and the table of places says why.
type Runner struct {
	pool      *pgxpool.Pool
	store     eventstore.Store
	options   RunnerOptions
	followers []Follower
	decode    func(eventstore.Event) (Event, error) // [Decode], but for tests that count
}

// NewRunner makes a runner on the server's pool. It panics when two followers
// have one name: they would share a place.
func NewRunner(pool *pgxpool.Pool, store eventstore.Store, followers []Follower, options RunnerOptions) *Runner {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Standby <= 0 {
		options.Standby = 700 * time.Millisecond
	}
	if options.HaltedRetry <= 0 {
		options.HaltedRetry = 15 * time.Second
	}
	mustDiffer(followers)
	if options.Progress == nil {
		options.Progress = NewProgress(pool, store, followers, ProgressOptions{})
	}
	return &Runner{pool: pool, store: store, options: options, followers: slices.Clone(followers), decode: Decode}
}

const answerTimeout = 3 * time.Second // for statements that take no time

// newBackoff is the time between tries of all that reads the ledger or writes
// what is in it elsewhere.
func newBackoff() wait.Backoff {
	return wait.Backoff{First: 100 * time.Millisecond, Longest: 5 * time.Second}
}

// Session is the name of the database session that holds the leases of a process.
const Session = "agentidp projections"

// Run runs until ctx ends and everything has stopped.
func (r *Runner) Run(ctx context.Context) {
	leases := lease.New(r.pool, Session)
	defer leases.Keep()() // until the last transaction has ended

	tail := newTail(r.store, r.decode, r.options.Progress.hurry)
	defer tail.wait()
	var workers sync.WaitGroup
	for i := range r.followers {
		f := &r.followers[i]
		w := &worker{
			backoff: newBackoff(),
			runner:  r, leases: leases, tail: tail, follower: f, place: place{r.pool, f},
			logger: r.options.Logger.With(f.Sink.kind(), f.Name),
		}
		workers.Go(func() { w.run(ctx) })
	}
	workers.Wait()
}
