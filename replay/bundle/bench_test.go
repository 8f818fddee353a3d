package bundle_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/replay/bundle"
	"github.com/sentryagent/agentidp/replay/replaytest"
)

func BenchmarkBundle(b *testing.B) {
	const events = 100_000
	s := replaytest.Shelf{Events: replaytest.Write(replaytest.Seed, events, time.Now()).Events}
	exporter := &bundle.Exporter{Store: s, Logs: s, VerifierKey: replaytest.VerifierKey}
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
			opened, err := bundle.Open(bytes.NewReader(out.Bytes()))
			if err != nil {
				b.Fatal(err)
			}
			report, err := opened.Verify(b.Context(), bundle.Options{})
			if err != nil || report.Break != nil || report.Checked != events {
				b.Fatal(report, err)
			}
		}
		b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
}
