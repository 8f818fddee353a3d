package verify

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// VerifyNew proves what has come since the place that [Verifier.Remember] keeps, in
// a time proportional to that, and that the log still has the root it had then.
// What it cannot make sense of it leaves to a verification of all; so what it finds
// is what [Verifier.Verify] finds. An event that is altered after it was verified
// is not seen again here: that is what [Verifier.Verify] is for. It writes nothing.
func (v *Verifier) VerifyNew(ctx context.Context) (Report, error) {
	from, err := loadVerified(ctx, v.options.Pool)
	if err != nil {
		return Report{}, fmt.Errorf("verify what is new: %w", err)
	}
	ev, err := v.evidence(ctx, Scope{})
	if err != nil {
		return Report{}, fmt.Errorf("verify what is new: %w", err)
	}
	p, holds, err := v.resume(ctx, ev, from)
	if err != nil {
		return Report{}, fmt.Errorf("verify what is new: %w", err)
	}
	if !holds {
		return v.verifyAll(ctx)
	}
	report := p.report()
	if report.Break, err = v.interfered(ctx, p, from.position, true); err != nil {
		return Report{}, fmt.Errorf("verify what is new: %w", err)
	}
	report.reached, report.all = verified{p.wholeAt, p.whole}, from.tree.Size() == 0
	return report, nil
}

// Remember has the next [Verifier.VerifyNew] begin where the one ended that made
// the report. Where something was found it keeps nothing.
func (v *Verifier) Remember(ctx context.Context, report Report) error {
	if report.Break != nil || report.reached.tree == nil {
		return nil
	}
	return report.reached.store(ctx, v.options.Pool, report.all)
}

// verifyAll is for when what was remembered does not fit, which may be because
// of what was remembered.
func (v *Verifier) verifyAll(ctx context.Context) (Report, error) {
	report, p, err := v.verify(ctx, Scope{})
	if err == nil {
		report.reached, report.all = verified{p.wholeAt, p.whole}, true
	}
	return report, err
}

// resume goes on from a verified place. It does not hold also where that place
// itself is in doubt.
func (v *Verifier) resume(ctx context.Context, ev *Evidence, from verified) (p *pass, holds bool, err error) {
	size := from.tree.Size()
	met, _ := slices.BinarySearchFunc(ev.Checkpoints, size+1, func(c Checkpoint, size int64) int { return int(c.Size - size) })
	if size > 0 {
		if from.position > ev.Head || ev.Forged > 0 {
			return nil, false, nil
		}
		if holds, err := v.stillLogged(ctx, ev, from, ev.Checkpoints[:met]); err != nil || !holds {
			return nil, false, err
		}
	}
	rest := *ev
	rest.Options.After = from.position
	rest.FromBeginning = size == 0
	rest.Checkpoints = ev.Checkpoints[met:]
	rest.Events = func(ctx context.Context) iter.Seq2[[]Inspected, error] {
		return inspecting(ctx, v.store.ReadAll(ctx, from.position, eventstore.Filter{}))
	}
	if size < ev.Size {
		rest.Entries = func(ctx context.Context) iter.Seq2[eventstore.Hash, error] {
			return v.options.Logs.Entries(ctx, transparency.Whole, size, ev.Size)
		}
	}
	p = rest.newPass()
	p.tree, p.index, p.at = from.tree.Clone(), size, from.position
	p.size = max(size, ev.Size)
	if met > 0 {
		p.agreed = &ev.Checkpoints[met-1]
	}
	p.visit = v.seeding(p, from.position)
	err = p.run(ctx)
	return p, p.suspect == nil && p.unfounded == nil, err
}

// stillLogged: the log has the root it had when it was verified, and the newest
// checkpoint of a smaller log is still that of this one. A log that is shorter is
// being derived again.
func (v *Verifier) stillLogged(ctx context.Context, ev *Evidence, from verified, met []Checkpoint) (bool, error) {
	if ev.Size < from.tree.Size() {
		return true, nil
	}
	root, err := v.options.Logs.Root(ctx, transparency.Whole, from.tree.Size())
	if err != nil || root != from.tree.Root() {
		return false, ignoreNotLogged(err)
	}
	for i, m := range slices.Backward(met) {
		if m.Size > 0 && (m.Outside || i == len(met)-1) {
			root, err := v.options.Logs.Root(ctx, transparency.Whole, m.Size)
			if err != nil || root != m.Root {
				return false, ignoreNotLogged(err)
			}
		}
	}
	return true, nil
}

func ignoreNotLogged(err error) error {
	if errors.Is(err, transparency.ErrNotLogged) {
		return nil
	}
	return err
}

// seeding tells the chain, before it meets a stream, where that stood at the
// verified place: one look-up for each stream that has gone on since.
func (v *Verifier) seeding(p *pass, after eventstore.Position) func(context.Context, []Inspected) error {
	return func(ctx context.Context, batch []Inspected) error {
		for i := range batch {
			e := &batch[i]
			if _, _, known := p.chain.Head(e.Stream); known || e.Revision == 0 || after == 0 {
				continue
			}
			for before, err := range v.store.ReadStream(ctx, e.Stream, e.Revision-1, eventstore.Forwards) {
				if err != nil {
					return err
				}
				if before.Revision == e.Revision-1 && before.Position <= after {
					p.chain.Seed(e.Stream, before.Revision, eventstore.HashOf(before.Record))
				}
				break
			}
		}
		return nil
	}
}
