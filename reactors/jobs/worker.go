package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/sentryagent/agentidp/internal/lease"
	"github.com/sentryagent/agentidp/internal/wait"
)

// worker runs one job. All its fields belong to its goroutine.
type worker struct {
	scheduler *Scheduler
	leases    *lease.Leases
	job       Job
	logger    *slog.Logger
	troubled  bool // has been logged
}

func (w *worker) run(ctx context.Context) {
	right := "job " + w.job.Name
	for ctx.Err() == nil {
		held, err := w.leases.Acquire(ctx, right)
		if held != nil {
			err = w.lead(held)
			w.leases.Release(right)
		}
		w.report(ctx, err)
		_ = wait.For(ctx, w.scheduler.options.Standby)
	}
}

// lead runs the job whenever it is due, for as long as the lease lasts.
func (w *worker) lead(ctx context.Context) error {
	turn, err := take(ctx, w.scheduler.pool, w.job, w.now())
	if err != nil {
		return err
	}
	w.troubled = false
	for {
		if w.now().Before(turn.nextAt) {
			if wait.For(ctx, w.scheduler.options.Standby) != nil {
				return context.Cause(ctx)
			}
			continue
		}
		done, result := w.once(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := turn.store(ctx, w.scheduler.pool, done); err != nil {
			return err
		}
		turn.nextAt = done.NextAt
		w.tell(ctx, done, result.Expected)
	}
}

// once runs the job.
func (w *worker) once(ctx context.Context) (Run, Result) {
	began := time.Now()
	r := Run{Job: w.job.Name, Interval: w.job.Interval, StartedAt: w.now()}
	result, err := w.safely(ctx)
	r.Duration, r.FinishedAt = time.Since(began), w.now()
	r.Detail, r.Count = result.Detail, result.Count
	switch {
	case err != nil:
		r.Outcome, r.Detail = Error, err.Error()
	case result.Failed:
		r.Outcome = Failed
	default:
		r.Outcome = Passed
	}
	r.NextAt = r.next()
	return r, result
}

// safely turns a panic into an error: the server goes on.
func (w *worker) safely(ctx context.Context) (result Result, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			w.logger.ErrorContext(ctx, "panic", "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
			err = errors.New("panic")
		}
	}()
	return w.job.Run(ctx)
}

func (w *worker) tell(ctx context.Context, r Run, expected bool) {
	level := map[Outcome]slog.Level{Passed: slog.LevelInfo, Failed: slog.LevelError, Error: slog.LevelWarn}[r.Outcome]
	if expected {
		level = slog.LevelInfo
	}
	w.logger.LogAttrs(ctx, level, "job "+string(r.Outcome), slog.String("detail", r.Detail), slog.Int64("count", r.Count),
		slog.Float64("tookMs", float64(r.Duration.Microseconds())/1000), slog.Time("next", r.NextAt))
	w.scheduler.options.Ran(r)
	w.scheduler.see(ctx)
}

// report logs why the job does not run here although it should, once.
func (w *worker) report(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil || w.troubled {
		return
	}
	w.troubled = true
	w.logger.WarnContext(ctx, "job interrupted", "error", err)
}

func (w *worker) now() time.Time { return w.scheduler.options.Now().UTC().Truncate(time.Microsecond) }
