package system_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/replay/verify"
)

// auditor is a world with something in its ledger, and files of an auditor's own.
type auditor struct {
	*world
	dir string
	key string
}

func newAuditor(t *testing.T) *auditor {
	t.Helper()
	return newAuditorOf(t, newWorld(t))
}

func newAuditorOf(t *testing.T, w *world) *auditor {
	t.Helper()
	a := &auditor{world: w, dir: t.TempDir()}
	s := a.serve(t)
	token := s.mustToken(t, a.operator.ClientID, a.operator.ClientSecret, "admin:orgs audit:read")
	for range 20 {
		s.mustToken(t, a.operator.ClientID, a.operator.ClientSecret, "")
	}
	s.must(t, 200, "GET", "/api/v1/organizations/"+a.operator.OrganizationID+"/checkpoint", token, nil) // has waited for the logs
	s.kill(t)
	a.key = strings.TrimSpace(a.must(t, exitOK, "checkpoint", "--key").stdout)
	a.write(t, "checkpoint", a.must(t, exitOK, "checkpoint").stdout)
	return a
}

// must runs a ledger command and expects an exit code.
func (a *auditor) must(t *testing.T, code int, args ...string) result {
	t.Helper()
	return mustLedger(t, a.settings, code, args...)
}

func mustLedger(t *testing.T, settings []string, code int, args ...string) result {
	t.Helper()
	r := runToEnd(t, settings, append([]string{"ledger"}, args...)...)
	if r.code != code {
		t.Fatalf("agentidp ledger %v: code %d, want %d\n%s%s", args, r.code, code, r.stdout, r.stderr)
	}
	return r
}

func (a *auditor) path(name string) string { return filepath.Join(a.dir, name) }

func (a *auditor) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(a.path(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func report(t *testing.T, r result) (shown shownReport) {
	t.Helper()
	var body struct {
		shownReport
		Break *struct {
			Kind    verify.Kind
			EventID *string
		} `json:"break"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &body); err != nil {
		t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	if body.Break != nil {
		body.shownReport.Break = &verify.Finding{Kind: body.Break.Kind}
	}
	return body.shownReport
}

func TestAnAuditorProvesTheLedgerWithoutServerOrDatabase(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	exported := a.must(t, exitOK, "export", "-o", a.path("bundle"))
	if !strings.Contains(exported.stdout, "of agentidp.test/ledger") || exported.stderr != "" {
		t.Errorf("export: %q, %q", exported.stdout, exported.stderr)
	}
	// Nothing of the configuration is there any more.
	unpinned := mustLedger(t, nil, exitBadUsage, "verify", a.path("bundle"))
	if !strings.HasPrefix(unpinned.stdout, "unproven: ") || strings.Contains(unpinned.stdout+unpinned.stderr, a.key) || !strings.Contains(unpinned.stderr, "unproven: no pinned key") {
		t.Errorf("verify: %q, %q; want it unproven, and not the bundle's own key", unpinned.stdout, unpinned.stderr)
	}
	a.write(t, "key", a.key+"\n")
	filed := mustLedger(t, nil, exitOK, "verify", a.path("bundle"), "--key", a.path("key"), "--against", a.path("checkpoint"))
	if !strings.HasPrefix(filed.stdout, "intact: ") || !strings.Contains(filed.stdout, "and extends "+a.path("checkpoint")+" (") || filed.stderr != "" {
		t.Errorf("verify: %q, %q; want it intact, and which checkpoint it extends", filed.stdout, filed.stderr)
	}
	pinned := report(t, mustLedger(t, nil, exitOK, "verify", a.path("bundle"), "--key", a.key, "--against", a.path("checkpoint"), "--json"))
	if !pinned.Verified || !pinned.Pinned || pinned.Checked < 20 || pinned.Checkpoint == nil || pinned.Checkpoint.TreeSize != pinned.Checked || pinned.TreeSize != pinned.Checked {
		t.Errorf("verify --json: %+v", pinned)
	}
	live := report(t, a.must(t, exitOK, "verify", "--live", "--json", "--against", a.path("checkpoint")))
	if live.Checked != pinned.Checked || live.RootHash != pinned.RootHash {
		t.Errorf("verify --live: %+v, want as of the bundle: %+v", live, pinned)
	}
	// The server's own job may have come first, on a machine that was busy.
	if _, err := a.superuser(t).Exec(t.Context(), `DELETE FROM verifications`); err != nil {
		t.Fatal(err)
	}
	if first := report(t, a.must(t, exitOK, "verify", "--live", "--incremental", "--json")); first.Checked != pinned.Checked {
		t.Errorf("the first verify --live --incremental: %+v", first)
	}
	if again := report(t, a.must(t, exitOK, "verify", "--live", "--incremental", "--json")); again.Checked != 0 || !again.Verified {
		t.Errorf("verify --live --incremental again: %+v, want nothing to do", again)
	}
	ours := report(t, a.must(t, exitOK, "verify", "--live", "--json", "--organization", a.operator.OrganizationID))
	a.must(t, exitOK, "export", "-o", a.path("ours"), "--organization", a.operator.OrganizationID)
	if r := mustLedger(t, nil, exitBadUsage, "verify", a.path("ours"), "--key", a.key); !strings.Contains(r.stderr, "checkpoint --key KEY --organization "+a.operator.OrganizationID) {
		t.Errorf("an organization's bundle under the key of the whole ledger: %q", r.stderr)
	}
	oursKey := strings.TrimSpace(a.must(t, exitOK, "checkpoint", "--key", "--organization", a.operator.OrganizationID).stdout)
	if offline := report(t, mustLedger(t, nil, exitOK, "verify", a.path("ours"), "--json", "--unsigned-tail", "--key", oursKey)); offline.Checked != ours.Checked || offline.RootHash != ours.RootHash {
		t.Errorf("the organization's: %+v, live %+v", offline, ours)
	}
}

func TestAnEventIsProvenOffline(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	tailed := a.must(t, exitOK, "tail", "--from", "0")
	lines := strings.Split(strings.TrimSpace(tailed.stdout), "\n")
	var event struct {
		Position uint64
		Record   struct{ ID string }
	}
	if err := json.Unmarshal([]byte(lines[len(lines)/2]), &event); err != nil || int(event.Position) != len(lines)/2+1 {
		t.Fatalf("tail printed %q: %v", lines[len(lines)/2], err)
	}
	a.write(t, "proof", a.must(t, exitOK, "prove", event.Record.ID).stdout)
	if r := mustLedger(t, nil, exitOK, "verify", a.path("proof"), "--key", a.key); !strings.Contains(r.stdout, "proven: event "+event.Record.ID) {
		t.Errorf("verify: %q", r.stdout)
	}
	proof, err := os.ReadFile(a.path("proof"))
	if err != nil {
		t.Fatal(err)
	}
	other := a.must(t, exitOK, "prove", func() string {
		var e struct{ Record struct{ ID string } }
		if err := json.Unmarshal([]byte(lines[1]), &e); err != nil {
			t.Fatal(err)
		}
		return e.Record.ID
	}()).stdout
	// The record of one event in the proof of another.
	parts, others := strings.SplitN(string(proof), "\n", 3), strings.SplitN(other, "\n", 3)
	a.write(t, "forged", parts[0]+"\n"+others[1]+"\n"+parts[2])
	mustLedger(t, nil, exitFailed, "verify", a.path("forged"), "--key", a.key)
	mustLedger(t, nil, exitBadUsage, "verify", a.path("proof"))
	a.must(t, exitBadUsage, "prove", "0192f3a0-0000-7000-8000-0000000000a1")

	if r := a.must(t, exitOK, "tail"); strings.Count(r.stdout, "\n") != 10 || !strings.HasSuffix(tailed.stdout, r.stdout) {
		t.Errorf("tail prints %d lines, want the last 10", strings.Count(r.stdout, "\n"))
	}
	following := launch(t, a.settings, "ledger", "tail", "-f", "--from", "1")
	following.awaitOutput(t, &following.stdout, lines[len(lines)-1])
	s := a.serve(t)
	s.mustToken(t, a.operator.ClientID, a.operator.ClientSecret, "")
	following.awaitOutput(t, &following.stdout, `"position":`+positionAfter(t, lines))
}

func positionAfter(t *testing.T, lines []string) string {
	t.Helper()
	var last struct{ Position int }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	next, err := json.Marshal(last.Position + 1)
	if err != nil {
		t.Fatal(err)
	}
	return string(next)
}

func TestABrokenLedgerIsExitCode1(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	admin := pgtest.Pool(t, a.superuserURL)
	for _, sql := range []string{`ALTER TABLE events DISABLE TRIGGER ALL`,
		`UPDATE events SET record = set_byte(record, 400, get_byte(record, 400) # 1) WHERE position = 7`} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	a.must(t, exitOK, "export", "-o", a.path("bundle"))
	for name, args := range map[string][]string{
		"live": {"--live"}, "a bundle": {a.path("bundle"), "--key", a.key, "--against", a.path("checkpoint")},
	} {
		r := a.must(t, exitFailed, append([]string{"verify"}, args...)...)
		if !strings.HasPrefix(r.stdout, "altered_event\n") || !strings.Contains(r.stderr, "BROKEN: altered_event") {
			t.Errorf("%s: %q, %q", name, r.stdout, r.stderr)
		}
		if shown := report(t, a.must(t, exitFailed, append([]string{"verify", "--json"}, args...)...)); shown.Verified || shown.Break == nil || shown.Break.Kind != verify.AlteredEvent {
			t.Errorf("%s: %+v", name, shown)
		}
	}
}

func TestWhatCannotBeVerifiedIsExitCode2(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	a.must(t, exitOK, "export", "-o", a.path("bundle"))
	a.write(t, "garbage", strings.Repeat("what is this? ", 100))
	otherKey := "agentidp.test/ledger+00000000+AAAA"
	for _, args := range [][]string{
		{"verify"}, {"verify", a.path("bundle"), "--live"}, {"verify", "--incremental", a.path("bundle")}, {"verify", "--live", "--key", otherKey},
		{"verify", a.path("none")}, {"verify", a.path("garbage")}, {"verify", a.path("bundle"), "--against", a.path("garbage")},
		{"verify", a.path("bundle"), "--against", a.path("none")}, {"verify", a.path("bundle"), "--key", otherKey},
		{"verify", "--live", "--organization", "acme"}, {"export"}, {"export", "-o", a.path("no/such/directory")}, {"prove"}, {"prove", "x"}, {"tail", "--from", "x"},
		{"verify", a.path("bundle"), "--key", a.path("none")}, {"verify", a.path("bundle"), "--key", mistyped(a.key)}, {"verify", a.path("bundle"), a.path("bundle")},
		{"verify", a.path("bundle"), "--key", a.key, "--live"}, {"export", "-o", a.dir}, {"export", "-o", "/dev/null"},
		{"export", "-o", a.path("new"), "--organization", "0192f3a0-0000-7000-8000-0000000000a1"},
		{"checkpoint", "--organization", "0192f3a0-0000-7000-8000-0000000000a1"}, {"tail", "--organization", "0192f3a0-0000-7000-8000-0000000000a1"},
	} {
		if r := a.must(t, exitBadUsage, args...); r.stdout != "" || r.stderr == "" {
			t.Errorf("agentidp ledger %v: %q, %q; want why on standard error alone", args, r.stdout, r.stderr)
		}
	}
	if r := runToEnd(t, nil, "ledger", "verify", "--live"); r.code != exitBadUsage {
		t.Errorf("verify --live without configuration: code %d", r.code)
	}
}

// mistyped is a key with another digit in it.
func mistyped(key string) string {
	at := strings.Index(key, "+") + 1
	if key[at] == '0' {
		return key[:at] + "1" + key[at+1:]
	}
	return key[:at] + "0" + key[at+1:]
}

// What no server has added to the log yet is neither signed nor exported without a word.
func TestStoppedServersSignAndExportNothingShort(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	admin := pgtest.Pool(t, a.superuserURL)
	var head int64
	if err := admin.QueryRow(t.Context(), `SELECT position FROM ledger_head`).Scan(&head); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), `UPDATE transparency_logs SET changed_position = changed_position - 3 WHERE changed_position = $1`, head); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"checkpoint"}, {"export", "-o", a.path("short")}} {
		if r := a.must(t, exitBadUsage, args...); !strings.Contains(r.stderr, "3 events are not in the log yet") || r.stdout != "" {
			t.Errorf("agentidp ledger %v: %q, %q", args, r.stdout, r.stderr)
		}
	}
	if _, err := os.Stat(a.path("short")); err == nil {
		t.Error("a bundle was written all the same")
	}
}

// An answer that is interrupted, or cannot be printed, is exit code 2 and leaves no bundle.
func TestAnInterruptedCommandFindsNothing(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	begun := time.Now()
	a.must(t, exitOK, "verify", "--live")
	whole := time.Since(begun)
	const moments = 12
	for i := range moments {
		for _, args := range [][]string{{"verify", "--live"}, {"verify", "--live", "--incremental"}, {"export", "-o", a.path("cut")}} {
			p := launch(t, a.settings, append([]string{"ledger"}, args...)...)
			time.Sleep(whole * time.Duration(i) / moments)
			_ = p.cmd.Process.Signal(syscall.SIGINT) // it may have ended
			if r := p.wait(t, patience); r.code == exitFailed {
				t.Errorf("%v, interrupted at %d/%d of its time: code %d: %s%s", args, i, moments, r.code, r.stdout, r.stderr)
			}
		}
	}
	if left, err := filepath.Glob(a.path("cut.new-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A disk without space is no finding.
func TestAnAnswerThatCannotBePrintedIsExitCode2(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	a := newAuditor(t)
	shell := launchAs(t, "sh", a.settings, "-c", `exec "$0" ledger verify --live >/dev/full`, program)
	if r := shell.wait(t, patience); r.code != exitBadUsage {
		t.Errorf("code %d, want %d: %s", r.code, exitBadUsage, r.stderr)
	}
}
