package follow

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/lease"
	"github.com/sentryagent/agentidp/internal/wait"
)

// Idle advances (events were looked at, none was wanted) are kept in memory
// and stored when they have become this many or this old. Where positions do not
// count events age alone decides, and earlier: who looks at the checkpoint from
// another process reads the ledger from there, and has no index to do so by.
const (
	idlePositions = 5000
	idleAge       = 5 * time.Second
	idleAgeSparse = time.Second
)

const halted = "halted"

// worker runs one follower. All its fields belong to its goroutine.
type worker struct {
	runner   *Runner
	leases   *lease.Leases
	tail     *tail
	follower *Follower
	place    place
	logger   *slog.Logger

	term   int                 // of leading, see Progress
	at     eventstore.Position // what has been looked at
	stored eventstore.Position // where the checkpoint is

	prepared bool
	trouble  string // what has been logged last; "" when all is well
	backoff  wait.Backoff
}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.prepare(ctx); err != nil {
			w.report(ctx, err)
			_ = wait.For(ctx, w.delay(err))
			continue
		}
		held, err := w.leases.Acquire(ctx, w.follower.Lease())
		switch {
		case err != nil:
			w.report(ctx, err)
			_ = w.backoff.For(ctx)
		case held == nil:
			if w.trouble != halted { // a lease that another process tries in vain heals nothing
				w.well("another process runs the " + w.follower.Sink.kind())
			}
			_ = wait.For(ctx, wait.Jitter(w.runner.options.Standby))
		default:
			err := w.lead(held)
			w.leases.Release(w.follower.Lease())
			w.report(ctx, err)
			_ = wait.For(ctx, w.delay(err))
		}
	}
}

// lead follows the ledger for as long as all goes well.
func (w *worker) lead(ctx context.Context) error {
	stored, err := Place(ctx, w.runner.pool, w.follower.Name, w.follower.Version)
	if err != nil {
		return err
	}
	w.at, w.stored = stored, stored
	w.term = w.progress().lead(w.follower.Name, w.at)
	err = w.follow(ctx)
	w.progress().resign(w.follower.Name, w.term)
	return err
}

func (w *worker) follow(ctx context.Context) error {
	reading, stop := context.WithCancel(ctx)
	steps := make(chan step, 1)
	reader := w.tail.attach(w.follower, w.at)
	defer w.tail.detach(reader)
	var ahead sync.WaitGroup
	ahead.Go(func() { reader.readAhead(reading, steps) })
	defer ahead.Wait()
	defer stop()
	idle := time.NewTicker(w.idleAge())
	defer idle.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case s := <-steps:
			err = w.take(ctx, s)
		case <-idle.C:
			err = w.advanceIdle(ctx, w.at)
		}
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		w.backoff.Reset()
		w.well("running")
	}
}

// take brings the sink to the end of a step.
func (w *worker) take(ctx context.Context, s step) error {
	if s.err != nil {
		return s.err
	}
	to := s.position
	if s.poison != nil {
		to = w.at
		if len(s.events) > 0 {
			to = s.events[len(s.events)-1].Position
		}
	}
	switch {
	case len(s.events) > 0:
		advance := func(events []Event, to eventstore.Position) error { return w.advance(ctx, events, to) }
		if err := Divide(s.events, to, advance); err != nil {
			return w.stop(ctx, err)
		}
	case s.poison == nil && w.dense() && to-w.stored >= idlePositions:
		if err := w.advanceIdle(ctx, to); err != nil {
			return err
		}
	}
	if s.poison != nil {
		return w.stop(ctx, s.poison)
	}
	w.at = to
	return w.reached(s.head)
}

func (w *worker) advance(ctx context.Context, events []Event, to eventstore.Position) error {
	if err := w.follower.Sink.take(ctx, w.place, w.stored, to, events); err != nil {
		return err
	}
	w.at, w.stored = to, to
	return w.reached(to)
}

// advanceIdle stores that everything up to a position has been looked at.
func (w *worker) advanceIdle(ctx context.Context, to eventstore.Position) error {
	if to <= w.stored {
		return nil
	}
	return w.advance(ctx, nil, to)
}

func (w *worker) dense() bool { return eventstore.Dense(w.runner.store) }

func (w *worker) idleAge() time.Duration {
	if w.dense() {
		return idleAge
	}
	return idleAgeSparse
}

// reached tells where we are. It fails when Progress has heard meanwhile that
// the database may have lost what we think is stored.
func (w *worker) reached(head eventstore.Position) error {
	if !w.progress().reached(w.follower.Name, w.term, w.at, head) {
		return ErrFenced
	}
	return nil
}

// stop stores that the follower cannot get past an event, if that is what
// err is. The checkpoint may lag behind idle advances; that is harmless.
func (w *worker) stop(ctx context.Context, err error) error {
	var poison *PoisonError
	if !errors.As(err, &poison) {
		return err
	}
	if err := w.place.halt(ctx, w.stored, poison); err != nil {
		return err
	}
	w.progress().halt(w.follower.Name, w.term, w.at, poison.Cause.Error())
	return poison
}

// delay is how long to wait after lead has ended with err.
func (w *worker) delay(err error) time.Duration {
	var poison *PoisonError
	var version *VersionError
	switch {
	case errors.As(err, &poison), errors.As(err, &version):
		return wait.Jitter(w.runner.options.HaltedRetry)
	case errors.Is(err, ErrFenced):
		return wait.Jitter(w.backoff.First)
	}
	return wait.Jitter(w.backoff.Next())
}

// report logs why the follower does not run, once for each reason.
func (w *worker) report(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	level, state, attrs := slog.LevelWarn, "interrupted", []slog.Attr{slog.String("error", err.Error())}
	var poison *PoisonError
	var version *VersionError
	switch {
	case errors.As(err, &poison):
		level, state = slog.LevelError, halted
		attrs = append(attrs, slog.Uint64("position", uint64(poison.Position)))
	case errors.As(err, &version):
		level, state = slog.LevelError, "another version"
	case errors.Is(err, ErrFenced):
		state = "fenced"
	}
	if w.trouble != state {
		w.trouble = state
		w.logger.LogAttrs(ctx, level, w.follower.Sink.kind()+" "+state, attrs...)
	}
}

// well logs that trouble is over.
func (w *worker) well(state string) {
	if w.trouble != "" {
		w.trouble = ""
		w.logger.Info(w.follower.Sink.kind()+" recovered", "state", state)
	}
}

// prepare does once what is to be done before the follower runs.
func (w *worker) prepare(ctx context.Context) error {
	if w.prepared || w.follower.Prepare == nil {
		return nil
	}
	if err := w.follower.Prepare(ctx); err != nil {
		return err
	}
	w.prepared = true
	return nil
}

func (w *worker) progress() *Progress { return w.runner.options.Progress }
