package verify

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// Logs is what verification asks of the transparency logs.
type Logs interface {
	State(ctx context.Context, log uuid.UUID) (transparency.State, error)
	Entries(ctx context.Context, log uuid.UUID, from, to int64) iter.Seq2[eventstore.Hash, error]
	Root(ctx context.Context, log uuid.UUID, size int64) (tlog.Hash, error)
	Checkpoints(ctx context.Context, log uuid.UUID) ([]transparency.Signed, error)
}

// Options are what a [Verifier] goes by beside the events. Without Logs
// it goes by the chains alone.
type Options struct {
	Logs Logs
	// VerifierKey is what checkpoints of a log are verified with. Default: none
	// counts.
	VerifierKey func(log uuid.UUID) string
	// Remembered are the checkpoints that the signer keeps outside the
	// database, by origin. Default: none.
	Remembered func() (map[string]transparency.Remembered, error)
	// Against are others that were kept of the log that is verified.
	Against []Checkpoint
	// Pool is where [Verifier.Remember] keeps how far [Verifier.VerifyNew] has come.
	// Without it every time is the first.
	Pool *pgxpool.Pool
	// Progress is told how many events have been looked at since the last time.
	Progress func(events int)
}

// Verifier proves a ledger. It is safe for concurrent use.
type Verifier struct {
	store   eventstore.Store
	options Options
}

// New makes a verifier of the ledger in a store.
func New(store eventstore.Store, options Options) *Verifier {
	return &Verifier{store: store, options: options}
}

// Scope says which part of the ledger to verify. The zero Scope is all of it.
type Scope struct {
	Organization domain.OrganizationID // only this tenant's events
	From, To     time.Time             // only events recorded in [From, To]; zero: no bound
}

// Verify hashes every event in scope again, compares what the engine says of it
// with its record, follows the chain of every stream, and compares all of it
// with the log: the organization's, or that of the whole ledger, and with the
// checkpoints that were signed of it. Over the whole ledger it also insists on
// the head, and on dense positions where the engine has them. Between two times
// there are the chains alone.
//
// It stops at the first thing that is wrong and finds out what that is. An error
// means that it could not look, or not to the end; then nothing is found. Events that are appended meanwhile do no harm.
//
// Tokens are held against the credentials they were issued under, but for
// between two times.
//
// Memory grows with the number of streams (some 80 bytes each) and of
// credentials (some 50), not of events, unless something is wrong.
func (v *Verifier) Verify(ctx context.Context, scope Scope) (Report, error) {
	report, _, err := v.verify(ctx, scope)
	return report, err
}

// verify looks a second time, at evidence that is gathered again, where all that
// is wrong is that something ends too soon: a read may end so that was answered by
// a database that is being replaced.
func (v *Verifier) verify(ctx context.Context, scope Scope) (Report, *pass, error) {
	report, p, err := v.verifyOnce(ctx, scope)
	if err == nil && report.Break != nil && p.short {
		report, p, err = v.verifyOnce(ctx, scope)
	}
	if err == nil && report.Break == nil {
		if report.Break = p.unfounded; report.Break == nil {
			report.Break, err = v.interfered(ctx, p, 0, scope == Scope{})
		}
	}
	if err != nil {
		return Report{}, nil, fmt.Errorf("verify: %w", err)
	}
	return report, p, nil
}

func (v *Verifier) verifyOnce(ctx context.Context, scope Scope) (Report, *pass, error) {
	ev, err := v.evidence(ctx, scope)
	if err != nil {
		return Report{}, nil, err
	}
	report, p, err := ev.prove(ctx)
	if err == nil && report.Break == nil && ev.Size > 0 {
		if report.Break, err = v.checkLog(ctx, scope.Organization.UUID, ev, p); err == nil && report.Break != nil {
			err = ctx.Err()
		}
	}
	return report, p, err
}

// evidence gathers what is to be said for a part of the ledger, in an order
// that leaves no gap on a ledger that grows: a checkpoint is of a log that
// existed, a log of events that existed.
func (v *Verifier) evidence(ctx context.Context, scope Scope) (*Evidence, error) {
	log := scope.Organization.UUID
	whole := scope == Scope{}
	timed := !scope.From.IsZero() || !scope.To.IsZero()
	ev := &Evidence{
		Options: eventstore.ChainOptions{Dense: whole && eventstore.Dense(v.store), Midway: !scope.From.IsZero()},
		Tenant:  log != transparency.Whole, Progress: v.options.Progress, Entries: noEntries, FromBeginning: !timed,
	}
	if v.options.Logs != nil && !timed {
		if err := v.checkpoints(ctx, log, ev); err != nil {
			return nil, err
		}
		state, err := v.options.Logs.State(ctx, log)
		if err != nil {
			return nil, err
		}
		ev.Size = state.Size()
		ev.Entries = func(ctx context.Context) iter.Seq2[eventstore.Hash, error] {
			return v.options.Logs.Entries(ctx, log, 0, ev.Size)
		}
	}
	if whole {
		var err error
		if ev.Head, err = v.store.Head(ctx); err != nil {
			return nil, err
		}
	}
	filter := eventstore.Filter{Organization: log, From: scope.From, To: scope.To}
	ev.Events = func(ctx context.Context) iter.Seq2[[]Inspected, error] {
		return inspecting(ctx, v.store.ReadAll(ctx, 0, filter))
	}
	return ev, nil
}

func noEntries(context.Context) iter.Seq2[eventstore.Hash, error] {
	return func(func(eventstore.Hash, error) bool) {}
}

// checkpoints finds those of a log that count.
func (v *Verifier) checkpoints(ctx context.Context, log uuid.UUID, ev *Evidence) error {
	var counting []Checkpoint
	if v.options.VerifierKey != nil {
		key := v.options.VerifierKey(log)
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return fmt.Errorf("the verifier key: %w", err)
		}
		if counting, err = v.remembered(verifier.Name()); err != nil {
			return err
		}
		stored, err := v.options.Logs.Checkpoints(ctx, log)
		if err != nil {
			return err
		}
		var signed []Checkpoint
		signed, ev.Forged = OpenSigned(func(yield func([]byte, time.Time) bool) {
			for i := range stored {
				if !yield(stored[i].Note, stored[i].SignedAt) {
					return
				}
			}
		}, verifier, key)
		counting = append(counting, signed...)
	}
	ev.Checkpoints = BySize(append(counting, v.options.Against...))
	return nil
}

// remembered is what the signer knows of an origin.
func (v *Verifier) remembered(origin string) ([]Checkpoint, error) {
	if v.options.Remembered == nil {
		return nil, nil
	}
	all, err := v.options.Remembered()
	last, is := all[origin]
	if err != nil || !is {
		return nil, err
	}
	return []Checkpoint{{Size: last.Size, Root: last.Root, SignedAt: last.At, Outside: true}}, nil
}

// checkLog: all events hold, so the log has to have the root they give.
func (v *Verifier) checkLog(ctx context.Context, log uuid.UUID, ev *Evidence, p *pass) (*Finding, error) {
	root, err := v.options.Logs.Root(ctx, log, ev.Size)
	lacks := errors.Is(err, transparency.ErrNotLogged)
	switch {
	case err != nil && !lacks:
		return nil, err
	case !lacks && p.size == ev.Size && root == p.whole.Root():
		return nil, nil
	}
	// A log that is being derived again is short, and says so.
	if state, err := v.options.Logs.State(ctx, log); err != nil || state.Size() < ev.Size {
		return nil, err
	}
	return &Finding{Kind: AlteredLog, Index: p.size,
		Detail: "The events are what was signed, but the transparency log's tables are not what follows from them. Derive the log again."}, nil
}
