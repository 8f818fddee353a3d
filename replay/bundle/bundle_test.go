package bundle_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/bundle"
	"github.com/sentryagent/agentidp/replay/replaytest"
	"github.com/sentryagent/agentidp/replay/verify"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// export writes a bundle into a file.
func export(t testing.TB, a *replaytest.Archive, organization domain.OrganizationID) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.bundle")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	exporter := &bundle.Exporter{Store: a.Store, Logs: a.Logs, VerifierKey: replaytest.VerifierKey}
	if _, err := exporter.Export(t.Context(), file, organization); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func openBundle(t testing.TB, path string) *bundle.Bundle {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	opened, err := bundle.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// python runs docs/verify.py with a pinned key and returns the first line that it prints.
func python(t testing.TB, log uuid.UUID, args ...string) (code int, says string) {
	t.Helper()
	cmd := exec.Command("python3", append([]string{"../../docs/verify.py", "--key", replaytest.VerifierKey(log)}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd, err)
	}
	says, _, _ = strings.Cut(stdout.String()+stderr.String(), "\n")
	return cmd.ProcessState.ExitCode(), says
}

// note writes the checkpoint that somebody kept from before.
func note(t testing.TB, a *replaytest.Archive) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "checkpoint")
	if err := os.WriteFile(path, a.Signed.Note, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestABundleProvesTheLedger(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	path := export(t, a, domain.OrganizationID{})
	opened := openBundle(t, path)
	report, err := opened.Verify(t.Context(), bundle.Options{VerifierKey: replaytest.VerifierKey(transparency.Whole), Against: []verify.Checkpoint{a.Outside()}})
	if err != nil || report.Break != nil || report.Checked != replaytest.BookedEvents || report.Root != a.Signed.Root || report.Checkpoint == nil {
		t.Errorf("%+v, %v; want all %d events and root %s", report, err, replaytest.BookedEvents, a.Signed.Root)
	}
	if m := opened.Manifest; m.Events != replaytest.BookedEvents || m.Entries != replaytest.BookedEvents || m.Checkpoints != replaytest.BookedEvents/replaytest.SignedEvery ||
		m.FirstPosition != 1 || m.LastPosition != replaytest.BookedEvents || m.Origin != replaytest.Host+"/ledger" || m.Organization != nil {
		t.Errorf("manifest %+v", m)
	}
	if code, says := python(t, transparency.Whole, path, "--against", note(t, a)); code != 0 || !strings.HasPrefix(says, "intact: 10000 events of idp.test/ledger") {
		t.Errorf("verify.py: code %d, %q", code, says)
	}
}

// What the log does not have yet is in no bundle; what is not signed yet is, and
// the report says how far it is signed.
func TestABundleEndsWithTheLog(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	a.WriteOn(t, 30)
	if m := openBundle(t, export(t, a, domain.OrganizationID{})).Manifest; m.Events != replaytest.BookedEvents || m.Entries != replaytest.BookedEvents {
		t.Errorf("%d events, %d entries; want %d", m.Events, m.Entries, replaytest.BookedEvents)
	}
	a.FitLog(t)
	report, err := openBundle(t, export(t, a, domain.OrganizationID{})).Verify(t.Context(), bundle.Options{})
	if err != nil || report.Break != nil || report.TreeSize != replaytest.BookedEvents+30 || report.Checkpoint.Size != replaytest.BookedEvents {
		t.Errorf("%+v, %v; want 30 events more than are signed", report, err)
	}
}

func TestABundleOfAnOrganizationIsOfNoOther(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	organizations := replaytest.OrganizationsOf(a.Events)
	for _, organization := range organizations {
		path := export(t, a, organization)
		opened := openBundle(t, path)
		report, err := opened.Verify(t.Context(), bundle.Options{VerifierKey: replaytest.VerifierKey(organization.UUID)})
		if err != nil || report.Break != nil || report.Checked == 0 || report.Checkpoint == nil {
			t.Errorf("%s: %+v, %v", organization, report, err)
		}
		if code, says := python(t, organization.UUID, path); code != 0 {
			t.Errorf("verify.py: code %d, %q", code, says)
		}
		var count int64
		for _, e := range a.Events {
			if e.Organization == organization.UUID {
				count++
			}
		}
		if m := opened.Manifest; m.Events != count || m.Entries != count || m.Organization == nil || *m.Organization != organization.UUID {
			t.Errorf("manifest %+v, want %d events of %s", m, count, organization)
		}
		out, err := exec.Command("sh", "-c", `tar xOf "$1" --wildcards 'events/*' | gzip -dc; tar xOf "$1" checkpoints.jsonl manifest.json verifier-key.txt`, "sh", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range organizations {
			if names := bytes.Contains(out, []byte(other.String())); names != (other == organization) {
				t.Errorf("the bundle of %s has something of %s: %v", organization, other, names)
			}
		}
	}
}

func TestADamagedBundleProvesNothing(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	path := export(t, a, domain.OrganizationID{})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string][]byte{
		"empty":     {},
		"cut off":   whole[:len(whole)/2],
		"no tar":    []byte(strings.Repeat("what is this? ", 200)),
		"a bit off": bytes.Clone(whole),
	}
	damages["a bit off"][50_000] ^= 1
	for name, content := range damages {
		t.Run(name, func(t *testing.T) {
			damaged := filepath.Join(t.TempDir(), "damaged")
			if err := os.WriteFile(damaged, content, 0o600); err != nil {
				t.Fatal(err)
			}
			opened, err := bundle.Open(io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content))))
			if err == nil {
				_, err = opened.Verify(t.Context(), bundle.Options{})
			}
			if !errors.Is(err, bundle.ErrDamaged) {
				t.Errorf("error %v, want %v", err, bundle.ErrDamaged)
			}
			if code, says := python(t, transparency.Whole, damaged); code != 2 {
				t.Errorf("verify.py: code %d, %q", code, says)
			}
		})
	}
}

func TestABundleOfAnotherLogOrKeyIsNotVerified(t *testing.T) {
	t.Parallel()
	a := replaytest.NewArchive(t)
	opened := openBundle(t, export(t, a, domain.OrganizationID{}))
	if report, err := opened.Verify(t.Context(), bundle.Options{VerifierKey: replaytest.VerifierKey(uuid.New())}); err == nil {
		t.Errorf("under the key of another log: %+v", report)
	}
}
