package bundle_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/rounds"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/bundle"
	"github.com/sentryagent/agentidp/replay/replaytest"
	"github.com/sentryagent/agentidp/replay/verify"
)

// What is found in the running ledger is found in an export of it, and by the
// stranger's program too, before and after the log was made to fit.
func TestWhatWasDoneIsFoundInAnExport(t *testing.T) {
	rounds.NoRace(t)
	t.Parallel()
	for name, h := range replaytest.Harms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := replaytest.NewArchive(t)
			index := h.Do(t, a)
			checkExport(t, a, h, index, false)
			a.FitLog(t)
			checkExport(t, a, h, index, true)
		})
	}
}

// checkExport verifies an export against what was kept, with our program and
// with the stranger's.
func checkExport(t *testing.T, a *replaytest.Archive, h replaytest.Harm, index int64, fitted bool) {
	t.Helper()
	path := export(t, a, domain.OrganizationID{})
	report, err := openBundle(t, path).Verify(t.Context(), bundle.Options{VerifierKey: replaytest.VerifierKey(transparency.Whole), Against: []verify.Checkpoint{a.Outside()}})
	if err != nil {
		t.Fatal(err)
	}
	h.Expect(t, a, report.Break, index, fitted)
	memory := filepath.Join(t.TempDir(), "checkpoints")
	line := fmt.Sprintf("agentidp.checkpoints/1\n%s %d %s %s 1\n", a.Signed.Origin, a.Signed.Size, a.Signed.Root, a.Outside().SignedAt.Format("2006-01-02T15:04:05Z07:00"))
	if err := os.WriteFile(memory, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%s at index %d: ", report.Break.Kind, report.Break.Index)
	if code, says := python(t, transparency.Whole, path, "--against", memory); code != 1 || !strings.HasPrefix(says, want) {
		t.Errorf("verify.py: code %d, %q; want 1 and %q as we say", code, says, want)
	}
}
