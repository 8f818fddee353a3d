package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/internal/lease"
	"github.com/sentryagent/agentidp/internal/wait"
)

// Options tune a [Scheduler]; the zero value is good.
type Options struct {
	Logger *slog.Logger     // default: discards
	Now    func() time.Time // default: time.Now; what is due is measured by it
	// Standby is how often a lease that another process has is asked for, and
	// how often a job that is not due is looked at. Default: one second.
	Standby time.Duration
	// Look is how often the table is read. Default: 5 s.
	Look time.Duration
	// Ran is told of each run on this node.
	Ran func(Run)
	// Seen is told how all jobs went last, on whatever node; never twice at once.
	Seen func([]Run)
}

// Scheduler runs jobs, each of them in one process at a time.
type Scheduler struct {
	pool    *pgxpool.Pool
	jobs    []Job
	options Options
	seeing  sync.Mutex // held while the table is read and Seen is told
}

// NewScheduler makes a scheduler on the server's pool.
func NewScheduler(pool *pgxpool.Pool, jobs []Job, options Options) *Scheduler {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Standby <= 0 {
		options.Standby = time.Second
	}
	if options.Look <= 0 {
		options.Look = 5 * time.Second
	}
	if options.Ran == nil {
		options.Ran = func(Run) {}
	}
	if options.Seen == nil {
		options.Seen = func([]Run) {}
	}
	return &Scheduler{pool: pool, jobs: jobs, options: options}
}

// Run runs until ctx ends and every job has stopped. What a job was in the
// middle of is not written down, so that another node begins it anew.
func (s *Scheduler) Run(ctx context.Context) {
	leases := lease.New(s.pool, "agentidp jobs")
	defer leases.Keep()()
	var workers sync.WaitGroup
	for _, job := range s.jobs {
		w := &worker{scheduler: s, leases: leases, job: job, logger: s.options.Logger.With("job", job.Name)}
		workers.Go(func() { w.run(ctx) })
	}
	workers.Go(func() { s.look(ctx) })
	workers.Wait()
}

// look tells how the jobs went, wherever they ran.
func (s *Scheduler) look(ctx context.Context) {
	for ctx.Err() == nil {
		s.see(ctx)
		_ = wait.For(ctx, s.options.Look)
	}
}

func (s *Scheduler) see(ctx context.Context) {
	s.seeing.Lock()
	defer s.seeing.Unlock()
	if runs, err := Runs(ctx, s.pool); err == nil {
		s.options.Seen(runs)
	}
}
