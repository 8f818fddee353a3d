package move

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/wait"
)

// copying is a copy under way.
type copying struct {
	Copier
	proof    *copyProof
	at       eventstore.Position // in the source: what is in the target
	head     eventstore.Position // of the source, as far as is known
	copied   int64
	complete bool
}

func (r *copying) run(ctx context.Context) error {
	if err := r.lookAhead(ctx); err != nil {
		return err
	}
	until := r.head
	if err := r.prove(ctx, StageComparing, 0); err != nil {
		return err
	}
	r.at = r.proof.from.at
	writer := newCopyWriter(r.To, eventstore.Dense(r.From), r.at)
	events := r.From.Subscribe(r.at, eventstore.Filter{})
	defer events.Close()
	if r.Follow != nil {
		if err := r.follow(ctx, events, writer); err != nil {
			return err
		}
		if err := r.lookAhead(ctx); err != nil {
			return err
		}
		until = r.head
	}
	for r.at < until {
		if err := r.step(ctx, ctx, events, writer); err != nil {
			return err
		}
	}
	r.complete = true
	return r.prove(ctx, StageProving, r.at)
}

// proveEvery is how often, at most, a copy that follows reads back what it copied.
const proveEvery = time.Second

// follow copies until Follow is closed. Now and then, when the target has
// everything, it is read back, so that little is left to prove in the end.
func (r *copying) follow(ctx context.Context, events eventstore.Subscription, writer *copyWriter) error {
	following, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-r.Follow:
			stop()
		case <-following.Done():
		}
	}()
	var proved time.Time
	for following.Err() == nil {
		if err := r.step(ctx, following, events, writer); err != nil {
			if following.Err() != nil && ctx.Err() == nil && errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		if r.at < r.head {
			continue
		}
		if time.Since(proved) > proveEvery {
			if err := r.prove(ctx, StageProving, r.at); err != nil {
				return err
			}
			proved = time.Now()
		}
		r.tell(StageFollowing, r.at)
	}
	return ctx.Err()
}

// step copies what comes next. Only the waiting for it ends with waiting.
func (r *copying) step(ctx, waiting context.Context, events eventstore.Subscription, writer *copyWriter) error {
	var batch eventstore.Batch
	err := r.patiently(waiting, func() (err error) {
		batch, err = events.Next(waiting)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	if err := r.write(ctx, batch.Events, writer); err != nil {
		return err
	}
	r.at, r.head = max(r.at, batch.Position), max(r.head, batch.Head)
	r.tell(StageCopying, r.at)
	return nil
}

// write appends events; what comes before one that does not hold, too.
func (r *copying) write(ctx context.Context, events []eventstore.Event, writer *copyWriter) error {
	if err := r.patiently(ctx, func() error { return writer.meet(ctx, events) }); err != nil {
		return err
	}
	runs, broken := writer.runs(events)
	err := r.patiently(ctx, func() (err error) {
		before := countEvents(runs)
		runs, err = writer.append(ctx, runs)
		r.copied += before - countEvents(runs)
		return err
	})
	return errors.Join(err, broken)
}

func countEvents(runs []copyRun) (n int64) {
	for i := range runs {
		n += int64(len(runs[i].events))
	}
	return n
}

// prove goes on with the comparison, through a position of the source or, with
// 0, as far as the target goes.
func (r *copying) prove(ctx context.Context, stage CopyStage, through eventstore.Position) error {
	advance := func() error {
		return r.proof.advance(ctx, through, func(at eventstore.Position) { r.tell(stage, at) })
	}
	return r.patiently(ctx, func() error {
		err := advance()
		var difference *Difference
		if errors.As(err, &difference) && difference.short {
			err = advance() // what one ledger lacks at its end it is asked for twice
		}
		if errors.As(err, &difference) && ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	})
}

func (r *copying) lookAhead(ctx context.Context) error {
	return r.patiently(ctx, func() (err error) {
		r.head, err = r.From.Head(ctx)
		return err
	})
}

func (r *copying) tell(stage CopyStage, at eventstore.Position) {
	if r.Progress != nil {
		r.Progress(CopyProgress{stage, at, max(at, r.head)})
	}
}

// patiently does again what a ledger that is unavailable kept from being done.
func (r *copying) patiently(ctx context.Context, do func() error) error {
	backoff := wait.Backoff{First: 50 * time.Millisecond, Longest: 2 * time.Second}
	begin := time.Now()
	for {
		err := do()
		if !errors.Is(err, eventstore.ErrUnavailable) || time.Since(begin) > r.Patience {
			return err
		}
		if err := backoff.For(ctx); err != nil {
			return err
		}
	}
}
