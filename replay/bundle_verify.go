package replay

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/eventstore"
)

// BundleOptions say what a bundle is verified by.
type BundleOptions struct {
	VerifierKey string           // that was pinned; "": the one that the bundle brings
	Against     []Checkpoint     // that were kept of the same log
	Progress    func(events int) // told of events since the last time; nil: nobody is
}

// Verify proves a bundle as [Verifier.Verify] proves the running ledger, with
// nothing but what is in it and what was kept. The error is [ErrBundle] where
// the bundle is damaged.
func (b *Bundle) Verify(ctx context.Context, o BundleOptions) (Report, error) {
	return b.verify(ctx, o, b.events)
}

// verify proves what events are read by a function.
func (b *Bundle) verify(ctx context.Context, o BundleOptions, events func(context.Context) iter.Seq2[[]inspected, error]) (Report, error) {
	if o.VerifierKey == "" {
		o.VerifierKey = b.key
	}
	verifier, err := note.NewVerifier(o.VerifierKey)
	if err != nil {
		return Report{}, fmt.Errorf("the verifier key: %w", err)
	}
	if verifier.Name() != b.Manifest.Origin {
		return Report{}, fmt.Errorf("the verifier key is of %q, the bundle of %q", verifier.Name(), b.Manifest.Origin)
	}
	ev, err := b.evidence(o, verifier)
	if err != nil {
		return Report{}, err
	}
	ev.events = events
	report, p, err := ev.verify(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("verify the bundle: %w", err)
	}
	if report.Break == nil {
		report.Break = p.unfounded
	}
	if report.Break != nil && ev.tenant {
		report.Break.withoutPositions()
	}
	return report, nil
}

func (b *Bundle) evidence(o BundleOptions, verifier note.Verifier) (*evidence, error) {
	ev := &evidence{
		size: b.Manifest.Entries, tenant: b.Manifest.Organization != nil, seen: o.Progress,
		options: eventstore.ChainOptions{Dense: true}, // as numbered here
		entries: b.entries, begins: true, atMost: maxCredentials,
	}
	var damaged error
	signed, forged := openSigned(func(yield func([]byte, time.Time) bool) {
		damaged = b.checkpoints(func(line checkpointLine) bool { return yield([]byte(line.Note), line.SignedAt) })
	}, verifier, o.VerifierKey)
	if damaged != nil {
		return nil, damaged
	}
	ev.checkpoints, ev.forged = bySize(append(signed, o.Against...)), forged
	return ev, nil
}

// events numbers the events from 1: the positions of the whole ledger.
func (b *Bundle) events(ctx context.Context) iter.Seq2[[]inspected, error] {
	members := func(yield func(placed, error) bool) {
		for m := range b.placed {
			if !yield(m, nil) {
				return
			}
		}
	}
	return ordered(ctx, min(runtime.GOMAXPROCS(0), maxReaders), members, func() func(placed) ([]inspected, error) {
		var u unpacker
		return func(m placed) (events []inspected, err error) {
			packed, err := b.member(m.Member)
			if err == nil {
				events, err = u.unpack(packed, m.Member, m.position)
			}
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBundle, err)
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
				yield(hash, fmt.Errorf("%w: %w", ErrBundle, err))
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

// withoutPositions forgets positions that are not those of the ledger.
func (f *Finding) withoutPositions() {
	f.Position = 0
	if f.Chain != nil {
		f.Chain.Position = 0
	}
}
