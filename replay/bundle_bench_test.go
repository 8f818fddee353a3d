package replay_test

import (
	"bytes"
	"context"
	"iter"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay"
)

// shelf is a ledger and its log in memory, for what needs neither database nor
// engine.
type shelf struct {
	eventstore.Store
	events []eventstore.Event
}

func (s shelf) ReadAll(context.Context, eventstore.Position, eventstore.Filter) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		for _, e := range s.events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s shelf) tree() *transparency.Tree {
	tree := &transparency.Tree{}
	for _, e := range s.events {
		tree.Append(e.Hash)
	}
	return tree
}

func (s shelf) State(context.Context, uuid.UUID) (transparency.State, error) {
	return transparency.State{Tree: s.tree(), Position: eventstore.Position(len(s.events))}, nil
}

func (s shelf) Entries(_ context.Context, _ uuid.UUID, from, to int64) iter.Seq2[eventstore.Hash, error] {
	return func(yield func(eventstore.Hash, error) bool) {
		for _, e := range s.events[from:to] {
			if !yield(e.Hash, nil) {
				return
			}
		}
	}
}

func (s shelf) Head(context.Context) (eventstore.Position, error) {
	return eventstore.Position(len(s.events)), nil
}

func (s shelf) Root(context.Context, uuid.UUID, int64) (tlog.Hash, error) {
	return s.tree().Root(), nil
}

func (s shelf) Checkpoints(context.Context, uuid.UUID) ([]transparency.Signed, error) {
	tree := s.tree()
	root := tree.Root()
	note, err := sign(signingKey, transparency.Whole, tree.Size(), root[:])
	c := transparency.Checkpoint{Origin: transparency.Origin(host, transparency.Whole), Size: tree.Size(), Root: root}
	return []transparency.Signed{{Checkpoint: c, Note: note, SignedAt: time.Now()}}, err
}

func BenchmarkBundle(b *testing.B) {
	const events = 100_000
	s := shelf{events: write(seed, events, time.Now()).events}
	exporter := &replay.Exporter{Store: s, Logs: s, VerifierKey: verifierKey}
	var out bytes.Buffer
	if _, err := exporter.Export(b.Context(), &out, domain.OrganizationID{}); err != nil {
		b.Fatal(err)
	}
	b.Run("export", func(b *testing.B) {
		for b.Loop() {
			var out bytes.Buffer
			if _, err := exporter.Export(b.Context(), &out, domain.OrganizationID{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		b.ReportMetric(float64(out.Len())/events, "bytes/event")
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			bundle, err := replay.OpenBundle(bytes.NewReader(out.Bytes()))
			if err != nil {
				b.Fatal(err)
			}
			report, err := bundle.Verify(b.Context(), replay.BundleOptions{})
			if err != nil || report.Break != nil || report.Checked != events {
				b.Fatal(report, err)
			}
		}
		b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
}

// What the engine itself costs, without a database to wait for.
func BenchmarkEngine(b *testing.B) {
	const events = 100_000
	s := shelf{events: write(seed, events, time.Now()).events}
	for b.Loop() {
		report, err := replay.NewVerifier(s, replay.VerifierOptions{Logs: s, VerifierKey: verifierKey}).Verify(b.Context(), replay.Scope{})
		if err != nil || report.Break != nil || report.Checked != events {
			b.Fatal(report, err)
		}
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
