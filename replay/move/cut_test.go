package move_test

import (
	"context"
	"errors"
	"testing"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/move"
	"github.com/sentryagent/agentidp/replay/replaytest"
)

// A copy that was cut off has found no difference, and what it has copied is how
// the source begins.
func TestACopyThatIsCutOffFindsNoDifference(t *testing.T) {
	t.Parallel()
	const events = 60
	source := memory.New()
	writer := newCopyist("cut", replaytest.Seed)
	for n := 0; n < events; {
		n += writer.write(t, source)
	}
	want := storetest.All(t, source)
	for _, side := range []string{"source", "target"} {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			replaytest.CutEverywhere(t, []string{"context", "error"}, replaytest.Each, nil, func(ctx context.Context, s *replaytest.Scissors, place string) {
				target := memory.New()
				for _, e := range want[:20] { // there from an earlier copy
					record, err := e.Decode()
					if err == nil {
						_, err = target.Append(t.Context(), e.Stream, eventstore.Exactly(e.Revision-1), record.Draft)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				copier := move.Copier{From: source, To: target, Patience: 1}
				if side == "source" {
					copier.From = replaytest.CutStore{Store: source, Scissors: s}
				} else {
					copier.To = replaytest.CutStore{Store: target, Scissors: s}
				}
				report, err := copier.Copy(ctx)
				var difference *move.Difference
				var broken *eventstore.Break
				if errors.As(err, &difference) || errors.As(err, &broken) {
					t.Errorf("%s: %v", place, err)
				}
				if err == nil && (!report.Proven || report.Events != int64(len(want))) || err != nil && report.Proven {
					t.Errorf("%s: %+v, %v", place, report, err)
				}
				for i, e := range storetest.All(t, target) {
					if e.Hash != want[i].Hash {
						t.Fatalf("%s: the target's event %d is not the source's", place, i)
					}
				}
			})
		})
	}
}

// What a ledger is said to go on from is compared to the end or not at all.
func TestExtendingThatIsCutOffRefusesNothing(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	tree := &transparency.Tree{}
	for _, e := range a.Events[:replaytest.CutEvents] {
		tree.Append(e.Hash)
	}
	replaytest.CutEverywhere(t, []string{"context", "error"}, replaytest.Each, nil, func(ctx context.Context, s *replaytest.Scissors, place string) {
		err := move.Extends(ctx, replaytest.CutStore{Store: a.Store, Scissors: s}, tree, func(int) {})
		var broken *eventstore.Break
		if errors.Is(err, move.ErrNoExtension) || errors.As(err, &broken) {
			t.Errorf("%s: %v", place, err)
		}
	})
}
