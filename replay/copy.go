package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
)

// Copier moves a ledger to another engine: every record to the byte, every
// stream, every organization's log and the order of the whole. Only positions
// differ, which are an engine's own.
//
// Nothing but the two ledgers says how far a copy is. What the target has must be
// how the source begins; it is compared, and the copy goes on from there. So a
// copy that was killed, at any moment, is begun again by the same call.
//
// Nobody else may write to the target. The source may be written to meanwhile.
type Copier struct {
	From, To eventstore.Store
	// Follow goes on with what comes to the source, until it is closed. The copy
	// then goes on to what is the source's newest event at that moment. Nil: it
	// ends with what was the newest event when it began.
	Follow <-chan struct{}
	// Progress is told where the work is; it must be quick. Nil: nobody is.
	Progress func(CopyProgress)
	// Patience is how long a ledger may be unavailable in one piece before the
	// copy gives up. Default: two minutes.
	Patience time.Duration
}

// CopyStage is what a copy is doing.
type CopyStage string

// The stages of a copy. A copy that follows comes to the last two by turns.
const (
	StageComparing CopyStage = "comparing" // what the target has with the source
	StageCopying   CopyStage = "copying"
	StageFollowing CopyStage = "following" // the target has all that there is
	StageProving   CopyStage = "proving"   // reading back what was copied
)

// CopyProgress is where a copy is in the source.
type CopyProgress struct {
	Stage          CopyStage
	Position, Head eventstore.Position
}

// Copy copies, and proves what it has copied by reading both ledgers. The error is
// a [*Difference] where they are not the same, an [*eventstore.Break] where the
// source (or, wrapped likewise, the target) does not hold in itself, and else that
// it could not go on. The report is of what was compared until then. Memory is
// flat but for some two kilobytes for each organization.
func (c *Copier) Copy(ctx context.Context) (CopyReport, error) {
	r := &copying{Copier: *c, proof: newCopyProof(c.From, c.To)}
	if r.Patience <= 0 {
		r.Patience = 2 * time.Minute
	}
	err := r.run(ctx)
	if err == nil {
		err = r.proof.conclude()
	}
	report := r.proof.report()
	report.Copied, report.Complete, report.Proven = r.copied, r.complete, err == nil
	return report, err
}

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
	return r.patiently(ctx, func() error {
		return r.proof.advance(ctx, through, func(at eventstore.Position) { r.tell(stage, at) })
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
	const first, longest = 50 * time.Millisecond, 2 * time.Second
	begin := time.Now()
	for pause := first; ; pause = min(2*pause, longest) {
		err := do()
		if !errors.Is(err, eventstore.ErrUnavailable) || time.Since(begin) > r.Patience {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
