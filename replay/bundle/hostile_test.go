package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/rounds"
	"github.com/sentryagent/agentidp/replay/verify"
)

// archived writes members, and a manifest that fits them, into a file. Change may
// spoil the manifest.
func archived(tb testing.TB, members []namedMember, change func(*Manifest)) []byte {
	tb.Helper()
	var file bytes.Buffer
	manifest := &Manifest{Format: Format, Origin: "ledger.example/ledger"}
	w := newBundleWriter(&file, manifest)
	for _, m := range members {
		if err := w.add(m.name, m.content, m.lines); err != nil {
			tb.Fatal(err)
		}
		switch {
		case strings.HasPrefix(m.name, "events/"):
			manifest.Events += m.lines
		case strings.HasPrefix(m.name, "entries/"):
			manifest.Entries += int64(len(m.content)) / int64(len(eventstore.Hash{}))
		}
	}
	if change != nil {
		change(manifest)
	}
	if err := w.close(); err != nil {
		tb.Fatal(err)
	}
	return file.Bytes()
}

type namedMember struct {
	name    string
	content []byte
	lines   int64
}

func zipped(tb testing.TB, unit string, times int) []byte {
	tb.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	for some := 0; some < times; some += 1000 {
		if _, err := io.WriteString(zip, strings.Repeat(unit, min(1000, times-some))); err != nil {
			tb.Fatal(err)
		}
	}
	if err := zip.Close(); err != nil {
		tb.Fatal(err)
	}
	return packed.Bytes()
}

// hostile are bundles that somebody made to take what a reader has, or to have it
// stumble, and what they are taken for: nothing.
func hostile(tb testing.TB) map[string][]byte {
	tb.Helper()
	entries := func(n int) namedMember {
		return namedMember{"entries/000000.bin", make([]byte, n*32), 0}
	}
	b, _, _, key := honest(tb)
	record, _, _ := strings.Cut(string(b.text), "\n")
	one := func(text string) []byte {
		return archived(tb, []namedMember{
			{"events/000000.jsonl.gz", zipped(tb, text+"\n", 1), 1}, entries(1), {checkpointsMember, nil, 0}, {keyMember, []byte(key), 1},
		}, nil)
	}
	var many []namedMember
	for i := range maxMembers + 2 {
		many = append(many, namedMember{fmt.Sprintf("events/%06d.jsonl.gz", i), nil, 0})
	}
	odd := bytes.NewBuffer(nil)
	w := tar.NewWriter(odd)
	if err := errors.Join(w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: manifestMember, Linkname: "/etc/passwd"}), w.Close()); err != nil {
		tb.Fatal(err)
	}
	return map[string][]byte{
		"four million lines":       archived(tb, []namedMember{{"events/000000.jsonl.gz", zipped(tb, "\n", 4_000_000), 4_000_000}, entries(4)}, nil),
		"lines that are not told":  archived(tb, []namedMember{{"events/000000.jsonl.gz", zipped(tb, "\n", 4_000_000), 1}, entries(1)}, nil),
		"half a gigabyte":          archived(tb, []namedMember{{"events/000000.jsonl.gz", zipped(tb, strings.Repeat("x", 1000), 500_000), 1}, entries(1)}, nil),
		"no entries":               archived(tb, []namedMember{{"events/000000.jsonl.gz", zipped(tb, record+"\n", 1), 1}, {checkpointsMember, nil, 0}}, nil),
		"negative lines":           archived(tb, []namedMember{{"events/000000.jsonl.gz", zipped(tb, "\n", 1), -1}, entries(1)}, nil),
		"too many members":         archived(tb, many, nil),
		"a manifest of its own":    archived(tb, []namedMember{entries(1)}, func(m *Manifest) { m.Members = make([]Member, 100_000) }),
		"a long line":              archived(tb, []namedMember{entries(1), {checkpointsMember, bytes.Repeat([]byte("["), 1<<20), 1}}, nil),
		"a link":                   odd.Bytes(),
		"another member":           archived(tb, []namedMember{{"events.txt", []byte("x"), 0}}, nil),
		"deeply nested":            one(strings.Repeat("[", 60_000)),
		"no number":                one(strings.Replace(record, `"revision":0`, `"revision":NaN`, 1)),
		"a list as stream":         one(strings.Replace(record, `"stream":"a-1"`, `"stream":["a-1"]`, 1)),
		"a text as revision":       one(strings.Replace(record, `"revision":0`, `"revision":"0"`, 1)),
		"a time of no place":       one(strings.Replace(record, `Z","request"`, `","request"`, 1)),
		"a checkpoint of no place": archived(tb, []namedMember{entries(1), {checkpointsMember, []byte(`{"signedAt":"2026-01-01T00:00:00","note":"x"}` + "\n"), 1}}, nil),
	}
}

// A reader takes no more from a file than a writer would have made, what it stumbles
// over is no finding, and both readers, ours and the stranger's, say the same.
func TestHostileBundlesAreRefusedInLittleMemory(t *testing.T) {
	rounds.NoRace(t)
	const most = 64 << 20 // bytes
	_, _, _, key := honest(t)
	for name, content := range hostile(t) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		want := 2 // exit code
		bundle, err := Open(io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content))))
		if err == nil {
			var report verify.Report
			if report, err = bundle.Verify(t.Context(), Options{VerifierKey: key}); err == nil && report.Break == nil && report.Signed() > 0 {
				t.Errorf("%s: %+v", name, report)
			}
			if err == nil && report.Break != nil {
				want = 1
			}
		} else if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want %v", name, err, ErrDamaged)
		}
		runtime.ReadMemStats(&after)
		// What was allocated in all, which is more than there was at any time: it may grow with the file, and no faster.
		if took := after.TotalAlloc - before.TotalAlloc; took > most+4*uint64(len(content)) {
			t.Errorf("%s: %d bytes were allocated for %d, want at most %d and four times the file", name, took, len(content), most)
		}
		path := filepath.Join(t.TempDir(), "bundle")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		// The shell's limit is of address space, in kilobytes.
		out, err := exec.Command("sh", "-c", `ulimit -v 131072; exec python3 ../../docs/verify.py --key "$1" "$2"`, "sh", key, path).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != want || strings.Contains(string(out), "Traceback") || strings.Contains(string(out), "MemoryError") {
			t.Errorf("%s: verify.py: %v, want %d: %.300s", name, err, want, out)
		}
	}
}

// altered are bundles that somebody has been at, and what both readers say.
func TestBothReadersAgreeOnAlteredBundles(t *testing.T) {
	t.Parallel()
	b, kept, _, key := honest(t)
	lines := strings.SplitAfter(string(b.text), "\n")
	checkpoint := filepath.Join(t.TempDir(), "kept")
	if err := os.WriteFile(checkpoint, fmt.Appendf(nil, "agentidp.checkpoints/1\nledger.example/ledger %d %s 2026-01-01T00:00:00Z 1\n", kept.Size, kept.Root), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text    string
		entries []byte
		want    int // exit code
	}{
		"as it was":              {string(b.text), b.entries, 0},
		"a byte":                 {strings.Replace(string(b.text), `{"n":1}`, `{"n":2}`, 1), b.entries, 1},
		"an event left out":      {lines[0] + lines[2], b.entries, 1},
		"the last left out":      {lines[0] + lines[1], b.entries, 1},
		"another order":          {lines[1] + lines[0] + lines[2], b.entries, 1},
		"entries left out":       {string(b.text), b.entries[:32], 2},
		"no revision":            {strings.Replace(string(b.text), `"revision":0`, `"revision":NaN`, 1), b.entries, 1},
		"one that nobody signed": {string(b.text) + lines[0], append(bytes.Clone(b.entries), b.entries[:32]...), 1},
	} {
		content := archived(t, []namedMember{
			{"events/000000.jsonl.gz", zipped(t, c.text, 1), int64(strings.Count(c.text, "\n"))},
			{"entries/000000.bin", c.entries, 0}, {checkpointsMember, nil, 0}, {keyMember, []byte(key), 1},
		}, nil)
		got := 0
		bundle, err := Open(io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content))))
		var report verify.Report
		if err == nil {
			report, err = bundle.Verify(t.Context(), Options{VerifierKey: key, Against: []verify.Checkpoint{kept}})
		}
		switch {
		case err != nil:
			got = 2
		case report.Break != nil:
			got = 1
		}
		path := filepath.Join(t.TempDir(), "bundle")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("python3", "../../docs/verify.py", path, "--key", key, "--against", checkpoint)
		out, _ := cmd.CombinedOutput() // the code tells
		if code := cmd.ProcessState.ExitCode(); got != c.want || code != c.want {
			t.Errorf("%s: %d (%v, %v), verify.py %d (%s); want %d", name, got, report.Break, err, code, out, c.want)
		}
	}
}

// What nobody signed is counted, and a proof has one record.
func TestUnsignedEventsAreCounted(t *testing.T) {
	t.Parallel()
	if got := (verify.Report{Checked: 5, Checkpoint: &verify.Checkpoint{Size: 3}}).Signed(); got != 3 {
		t.Errorf("%d are signed, want 3", got)
	}
	_, err := json.Marshal(verify.Report{})
	if err != nil {
		t.Error(err)
	}
	proof := proofHeader + "extra aGVsbG8=\nextra d29ybGQ=\nindex 0\n"
	if _, _, err := splitExtra([]byte(proof)); err == nil {
		t.Error("a proof with two records is taken")
	}
}

// FuzzBundleFile reads any bytes as a bundle, in little memory.
func FuzzBundleFile(f *testing.F) {
	rounds.NoRace(f)
	const most = 64 << 20 // bytes
	_, _, _, key := honest(f)
	for _, content := range hostile(f) {
		if len(content) < 64<<10 {
			f.Add(content)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		bundle, err := Open(io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content))))
		if err == nil {
			_, err = bundle.Verify(t.Context(), Options{VerifierKey: key})
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("%d bytes were allocated for %d: %v", took, len(content), err)
		}
	})
}
