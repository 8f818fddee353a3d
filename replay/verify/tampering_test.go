package verify_test

import (
	"testing"

	"github.com/sentryagent/agentidp/internal/rounds"
	"github.com/sentryagent/agentidp/replay/replaytest"
	"github.com/sentryagent/agentidp/replay/verify"
)

// Before and after the log was made to fit.
func TestWhatWasDoneIsFound(t *testing.T) {
	rounds.NoRace(t)
	t.Parallel()
	for name, h := range replaytest.Harms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := replaytest.NewArchive(t)
			index := h.Do(t, a)
			report, err := a.Verifier(a.Outside()).Verify(t.Context(), verify.Scope{})
			if err != nil {
				t.Fatal(err)
			}
			h.Expect(t, a, report.Break, index, false)
			a.FitLog(t)
			if report, err = a.Verifier(a.Outside()).Verify(t.Context(), verify.Scope{}); err != nil {
				t.Fatal(err)
			}
			h.Expect(t, a, report.Break, index, true)
		})
	}
}

// Somebody who does not close up positions has taken out no less for that.
func TestAGapIsARemovedEventAlsoWhereTheLogWasMadeToFit(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	stream := a.Events[a.Middle(6_500)].Stream
	a.Exec(t, `DELETE FROM events WHERE stream = $1`, stream)
	for _, want := range []verify.Kind{verify.RemovedStream, verify.RemovedEvent} {
		report, err := a.Verifier(a.Outside()).Verify(t.Context(), verify.Scope{})
		if err != nil {
			t.Fatal(err)
		}
		if report.Break == nil || report.Break.Kind != want {
			t.Errorf("found %s, want %s", replaytest.Describe(report.Break), want)
		}
		a.FitLog(t)
	}
}
