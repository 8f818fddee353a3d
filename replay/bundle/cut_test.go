package bundle_test

import (
	"context"
	"io"
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/rounds"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/bundle"
	"github.com/sentryagent/agentidp/replay/replaytest"
)

// An export that was cut off says so: what has been written is no bundle.
func TestAnExportThatIsCutOffIsNone(t *testing.T) {
	t.Parallel()
	a := replaytest.NewShortArchive(t)
	read := func(ctx context.Context, s *replaytest.Scissors, place string) {
		exporter := &bundle.Exporter{Store: replaytest.CutStore{Store: a.Store, Scissors: s}, Logs: replaytest.CutLogs{Logs: a.Logs, Scissors: s}, VerifierKey: replaytest.VerifierKey}
		manifest, err := exporter.Export(ctx, io.Discard, domain.OrganizationID{})
		if err == nil && (manifest.Events != replaytest.CutEvents || manifest.Entries != replaytest.CutEvents || manifest.Checkpoints != replaytest.CutEvents/50 || s.Way == "error" && s.Applied()) {
			t.Errorf("%s: a bundle of %d events, %d entries, %d checkpoints", place, manifest.Events, manifest.Entries, manifest.Checkpoints)
		}
	}
	replaytest.CutEverywhere(t, []string{"context", "error"}, replaytest.Each, nil, read)
	replaytest.CutEverywhere(t, []string{"connection"}, replaytest.Sparsely, a.Kill(t), read)
}

// A bundle is verified to its end or not at all.
func TestAVerificationOfABundleThatIsCutOffFindsNothing(t *testing.T) {
	rounds.NoRace(t)
	t.Parallel()
	a := replaytest.NewArchive(t)
	opened := openBundle(t, export(t, a, domain.OrganizationID{}))
	for at := 0; at < replaytest.BookedEvents/256; at += 3 {
		ctx, stop := context.WithCancel(t.Context())
		left := at
		report, err := opened.Verify(ctx, bundle.Options{VerifierKey: replaytest.VerifierKey(transparency.Whole), Progress: func(int) {
			if left--; left <= 0 {
				stop()
			}
		}})
		stop()
		if report.Break != nil || err == nil && report.Checked != replaytest.BookedEvents {
			t.Fatalf("cut at batch %d: %d events, found %s", at, report.Checked, replaytest.Describe(report.Break))
		}
	}
}
