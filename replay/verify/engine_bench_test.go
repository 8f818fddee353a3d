package verify_test

import (
	"testing"
	"time"

	"github.com/sentryagent/agentidp/replay/replaytest"
	"github.com/sentryagent/agentidp/replay/verify"
)

// What the engine itself costs, without a database to wait for.
func BenchmarkEngine(b *testing.B) {
	const events = 100_000
	s := replaytest.Shelf{Events: replaytest.Write(replaytest.Seed, events, time.Now()).Events}
	for b.Loop() {
		report, err := verify.New(s, verify.Options{Logs: s, VerifierKey: replaytest.VerifierKey}).Verify(b.Context(), verify.Scope{})
		if err != nil || report.Break != nil || report.Checked != events {
			b.Fatal(report, err)
		}
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
