package replay_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay"
)

// export writes a bundle into a file.
func (a *archive) export(t testing.TB, organization domain.OrganizationID) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.bundle")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	exporter := &replay.Exporter{Store: a.store, Logs: a.logs, VerifierKey: verifierKey}
	if _, err := exporter.Export(t.Context(), file, organization); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func openBundle(t testing.TB, path string) *replay.Bundle {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	bundle, err := replay.OpenBundle(file)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// python runs docs/verify.py with a pinned key and returns the first line that it prints.
func python(t testing.TB, log uuid.UUID, args ...string) (code int, says string) {
	t.Helper()
	cmd := exec.Command("python3", append([]string{"../docs/verify.py", "--key", verifierKey(log)}, args...)...)
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
func (a *archive) note(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "checkpoint")
	if err := os.WriteFile(path, a.signed.Note, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkExport verifies an export against what was kept, with our program and
// with the stranger's.
func (h harm) checkExport(t *testing.T, a *archive, index int64, fitted bool) {
	t.Helper()
	path := a.export(t, domain.OrganizationID{})
	report, err := openBundle(t, path).Verify(t.Context(), replay.BundleOptions{VerifierKey: verifierKey(transparency.Whole), Against: []replay.Checkpoint{a.outside()}})
	if err != nil {
		t.Fatal(err)
	}
	h.expect(t, a, report.Break, index, fitted)
	memory := filepath.Join(t.TempDir(), "checkpoints")
	line := fmt.Sprintf("agentidp.checkpoints/1\n%s %d %s %s 1\n", a.signed.Origin, a.signed.Size, a.signed.Root, a.outside().SignedAt.Format("2006-01-02T15:04:05Z07:00"))
	if err := os.WriteFile(memory, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%s at index %d: ", report.Break.Kind, report.Break.Index)
	if code, says := python(t, transparency.Whole, path, "--against", memory); code != 1 || !strings.HasPrefix(says, want) {
		t.Errorf("verify.py: code %d, %q; want 1 and %q as we say", code, says, want)
	}
}

func TestABundleProvesTheLedger(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	path := a.export(t, domain.OrganizationID{})
	bundle := openBundle(t, path)
	report, err := bundle.Verify(t.Context(), replay.BundleOptions{VerifierKey: verifierKey(transparency.Whole), Against: []replay.Checkpoint{a.outside()}})
	if err != nil || report.Break != nil || report.Checked != bookedEvents || report.Root != a.signed.Root || report.Checkpoint == nil {
		t.Errorf("%+v, %v; want all %d events and root %s", report, err, bookedEvents, a.signed.Root)
	}
	if m := bundle.Manifest; m.Events != bookedEvents || m.Entries != bookedEvents || m.Checkpoints != bookedEvents/signedEvery ||
		m.FirstPosition != 1 || m.LastPosition != bookedEvents || m.Origin != host+"/ledger" || m.Organization != nil {
		t.Errorf("manifest %+v", m)
	}
	if code, says := python(t, transparency.Whole, path, "--against", a.note(t)); code != 0 || !strings.HasPrefix(says, "intact: 10000 events of idp.test/ledger") {
		t.Errorf("verify.py: code %d, %q", code, says)
	}
}

// What the log does not have yet is in no bundle; what is not signed yet is, and
// the report says how far it is signed.
func TestABundleEndsWithTheLog(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	a.writeOn(t, 30)
	if m := openBundle(t, a.export(t, domain.OrganizationID{})).Manifest; m.Events != bookedEvents || m.Entries != bookedEvents {
		t.Errorf("%d events, %d entries; want %d", m.Events, m.Entries, bookedEvents)
	}
	a.fitLog(t)
	report, err := openBundle(t, a.export(t, domain.OrganizationID{})).Verify(t.Context(), replay.BundleOptions{})
	if err != nil || report.Break != nil || report.TreeSize != bookedEvents+30 || report.Checkpoint.Size != bookedEvents {
		t.Errorf("%+v, %v; want 30 events more than are signed", report, err)
	}
}

func TestABundleOfAnOrganizationIsOfNoOther(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	organizations := organizationsOf(a.events)
	for _, organization := range organizations {
		path := a.export(t, organization)
		bundle := openBundle(t, path)
		report, err := bundle.Verify(t.Context(), replay.BundleOptions{VerifierKey: verifierKey(organization.UUID)})
		if err != nil || report.Break != nil || report.Checked == 0 || report.Checkpoint == nil {
			t.Errorf("%s: %+v, %v", organization, report, err)
		}
		if code, says := python(t, organization.UUID, path); code != 0 {
			t.Errorf("verify.py: code %d, %q", code, says)
		}
		var count int64
		for _, e := range a.events {
			if e.Organization == organization.UUID {
				count++
			}
		}
		if m := bundle.Manifest; m.Events != count || m.Entries != count || m.Organization == nil || *m.Organization != organization.UUID {
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
	a := newArchive(t)
	path := a.export(t, domain.OrganizationID{})
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
			bundle, err := replay.OpenBundle(io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content))))
			if err == nil {
				_, err = bundle.Verify(t.Context(), replay.BundleOptions{})
			}
			if !errors.Is(err, replay.ErrBundle) {
				t.Errorf("error %v, want %v", err, replay.ErrBundle)
			}
			if code, says := python(t, transparency.Whole, damaged); code != 2 {
				t.Errorf("verify.py: code %d, %q", code, says)
			}
		})
	}
}

func TestABundleOfAnotherLogOrKeyIsNotVerified(t *testing.T) {
	t.Parallel()
	a := newArchive(t)
	bundle := openBundle(t, a.export(t, domain.OrganizationID{}))
	if report, err := bundle.Verify(t.Context(), replay.BundleOptions{VerifierKey: verifierKey(uuid.New())}); err == nil {
		t.Errorf("under the key of another log: %+v", report)
	}
}
