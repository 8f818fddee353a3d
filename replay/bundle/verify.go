package bundle

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/ordered"
	"github.com/sentryagent/agentidp/replay/verify"
)

// Options say what a bundle is verified by.
type Options struct {
	VerifierKey string              // that was pinned; "": the one that the bundle brings
	Against     []verify.Checkpoint // that were kept of the same log
	Progress    func(events int)    // told of events since the last time; nil: nobody is
}

// Verify proves a bundle as [verify.Verifier.Verify] proves the running ledger, with
// nothing but what is in it and what was kept. The error is [ErrDamaged] where
// the bundle is damaged.
func (b *Bundle) Verify(ctx context.Context, o Options) (verify.Report, error) {
	return b.verify(ctx, o, b.events)
}

// verify proves what events are read by a function.
func (b *Bundle) verify(ctx context.Context, o Options, events func(context.Context) iter.Seq2[[]verify.Inspected, error]) (verify.Report, error) {
	if o.VerifierKey == "" {
		o.VerifierKey = b.key
	}
	verifier, err := note.NewVerifier(o.VerifierKey)
	if err != nil {
		return verify.Report{}, fmt.Errorf("the verifier key: %w", err)
	}
	if verifier.Name() != b.Manifest.Origin {
		return verify.Report{}, fmt.Errorf("the verifier key is of %q, the bundle of %q", verifier.Name(), b.Manifest.Origin)
	}
	ev, err := b.evidence(o, verifier)
	if err != nil {
		return verify.Report{}, err
	}
	ev.Events = events
	report, err := ev.Verify(ctx)
	if err != nil {
		return verify.Report{}, fmt.Errorf("verify the bundle: %w", err)
	}
	if report.Break != nil && ev.Tenant {
		forgetPositions(report.Break)
	}
	return report, nil
}

func (b *Bundle) evidence(o Options, verifier note.Verifier) (*verify.Evidence, error) {
	ev := &verify.Evidence{
		Size: b.Manifest.Entries, Tenant: b.Manifest.Organization != nil, Progress: o.Progress,
		Options: eventstore.ChainOptions{Dense: true}, // as numbered here
		Entries: b.entries, FromBeginning: true, MaxCredentials: maxCredentials,
	}
	var damaged error
	signed, forged := verify.OpenSigned(func(yield func([]byte, time.Time) bool) {
		damaged = b.checkpoints(func(line checkpointLine) bool { return yield([]byte(line.Note), line.SignedAt) })
	}, verifier, o.VerifierKey)
	if damaged != nil {
		return nil, damaged
	}
	ev.Checkpoints, ev.Forged = verify.BySize(append(signed, o.Against...)), forged
	return ev, nil
}

// events numbers the events from 1: the positions of the whole ledger.
func (b *Bundle) events(ctx context.Context) iter.Seq2[[]verify.Inspected, error] {
	members := func(yield func(placed, error) bool) {
		for m := range b.placed {
			if !yield(m, nil) {
				return
			}
		}
	}
	return ordered.Map(ctx, min(runtime.GOMAXPROCS(0), maxReaders), members, func() func(placed) ([]verify.Inspected, error) {
		var u unpacker
		return func(m placed) (events []verify.Inspected, err error) {
			packed, err := b.member(m.Member)
			if err == nil {
				events, err = u.unpack(packed, m.Member, m.position)
			}
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			return events, nil
		}
	})
}

// placed yields the members of events.
func (b *Bundle) placed(yield func(placed) bool) {
	position := eventstore.Position(1)
	for _, m := range b.membersOf("events/") {
		if !yield(placed{m, position}) {
			return
		}
		position += eventstore.Position(m.Lines)
	}
}

func (b *Bundle) entries(context.Context) iter.Seq2[eventstore.Hash, error] {
	return func(yield func(eventstore.Hash, error) bool) {
		var hash eventstore.Hash
		for _, m := range b.membersOf("entries/") {
			raw, err := b.member(m)
			if err == nil && len(raw)%len(hash) != 0 {
				err = fmt.Errorf("member %s is not a number of hashes", m.Name)
			}
			if err != nil {
				yield(hash, fmt.Errorf("%w: %w", ErrDamaged, err))
				return
			}
			for ; len(raw) > 0; raw = raw[len(hash):] {
				if !yield(eventstore.Hash(raw[:len(hash)]), nil) {
					return
				}
			}
		}
	}
}

// forgetPositions takes positions out of a finding that are not those of the ledger.
func forgetPositions(f *verify.Finding) {
	f.Position = 0
	if f.Chain != nil {
		f.Chain.Position = 0
	}
}
