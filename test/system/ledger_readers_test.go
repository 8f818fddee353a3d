package system_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/internal/pgtest"
)

// The exit code is what scripts go by: that of the program and that of the reader
// that an auditor can read for himself are the same, over the same bundles. The
// running ledger has a tail that will be signed, and says how long it is.
func TestBothReadersHaveTheSameExitCodes(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	a.write(t, "key", a.key+"\n")
	of := func(kind string, args ...string) []string {
		return append([]string{a.path(kind), "--key", a.path("key")}, args...)
	}
	a.must(t, exitOK, "export", "-o", a.path("intact"))

	// Once they sign in a day, servers leave a tail.
	s := a.serve(t, "CHECKPOINT_INTERVAL_MS=86400000")
	signed := report(t, a.must(t, exitOK, "verify", "--live", "--json")).Signed
	for range 5 {
		s.mustToken(t, a.operator.ClientID, a.operator.ClientSecret, "")
	}
	await(t, "the log", func(context.Context) error {
		if r := runToEnd(t, a.settings, "ledger", "export", "-o", a.path("tail")); r.code != exitOK {
			return errors.New(r.stderr)
		}
		return nil
	})
	s.kill(t)
	live := a.must(t, exitOK, "verify", "--live", "--json")
	if shown := report(t, live); !shown.Verified || shown.Signed != signed || shown.Checked != signed+5 {
		t.Errorf("verify --live: %s; want %d events, %d of them signed", live.stdout, signed+5, signed)
	}
	if r := a.must(t, exitOK, "verify", "--live"); !strings.Contains(r.stdout, "; 5 later ones are not signed yet") {
		t.Errorf("verify --live: %q", r.stdout)
	}
	for code, args := range map[int][]string{exitBadUsage: nil, exitOK: {"--unsigned-tail"}} {
		r := mustLedger(t, nil, code, append([]string{"verify", "--json"}, of("tail", args...)...)...)
		if shown := report(t, r); shown.Verified != (code == exitOK) || shown.Signed != signed || shown.Checked != signed+5 || shown.Break != nil {
			t.Errorf("verify %v: %s; want %d events, %d of them signed", args, r.stdout, signed+5, signed)
		}
	}
	a.write(t, "newest", a.must(t, exitOK, "checkpoint").stdout)

	admin := pgtest.Pool(t, a.superuserURL)
	tamper := func(sql string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	tamper(`ALTER TABLE events DISABLE TRIGGER ALL; ALTER TABLE checkpoints DISABLE TRIGGER ALL`)
	tamper(`CREATE TABLE before AS SELECT * FROM checkpoints`)
	tamper(`UPDATE checkpoints SET note = convert_to(regexp_replace(convert_from(note, 'UTF8'), '...=\n$', E'AAA=\n'), 'UTF8') WHERE size = (SELECT max(size) FROM checkpoints)`)
	a.must(t, exitOK, "export", "-o", a.path("false signature"))
	tamper(`UPDATE checkpoints c SET note = b.note FROM before b WHERE (b.organization_id, b.size) = (c.organization_id, c.size)`)
	tamper(`UPDATE events SET record = set_byte(record, 400, get_byte(record, 400) # 1) WHERE position = 7`)
	a.must(t, exitOK, "export", "-o", a.path("broken"))
	content, err := os.ReadFile(a.path("intact"))
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, "cut off", string(content[:len(content)/2]))
	a.write(t, "garbage", strings.Repeat("what is this? ", 100))
	origin, _, _ := strings.Cut(a.key, "+")
	_, strange, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	own := strings.TrimSpace(a.must(t, exitOK, "checkpoint", "--key", "--organization", a.operator.OrganizationID).stdout)

	for _, row := range []struct {
		args []string
		want int
	}{
		{of("intact"), exitOK},
		{of("intact", "--against", a.path("checkpoint")), exitOK},
		{of("intact", "--unsigned-tail"), exitOK},
		{[]string{a.path("intact")}, exitBadUsage},
		{[]string{a.path("intact"), "--against", a.path("checkpoint")}, exitBadUsage},
		{[]string{a.path("intact"), "--unsigned-tail"}, exitBadUsage},
		{[]string{a.path("intact"), "--key", strange}, exitBadUsage},
		{[]string{a.path("intact"), "--key", own}, exitBadUsage},
		{[]string{a.path("intact"), "--key", mistyped(a.key)}, exitBadUsage},
		{[]string{a.path("intact"), "--key", a.path("none")}, exitBadUsage},
		{of("intact", "--against", a.path("garbage")), exitBadUsage},
		{of("intact", "--against", a.path("none")), exitBadUsage},
		{of("intact", "--against", a.path("newest")), exitFailed}, // it has grown since
		{of("tail"), exitBadUsage},
		{of("tail", "--unsigned-tail"), exitOK},
		{of("tail", "--against", a.path("newest")), exitOK},
		{[]string{a.path("tail"), "--unsigned-tail"}, exitBadUsage},
		{of("false signature"), exitFailed},
		{of("broken"), exitFailed},
		{of("broken", "--unsigned-tail", "--against", a.path("checkpoint")), exitFailed},
		{[]string{a.path("broken")}, exitFailed},
		{of("cut off"), exitBadUsage},
		{[]string{a.path("cut off")}, exitBadUsage},
		{of("garbage"), exitBadUsage},
		{of("none"), exitBadUsage},
		{nil, exitBadUsage},
	} {
		t.Run(strings.ReplaceAll(strings.Join(row.args, " "), a.dir+"/", ""), func(t *testing.T) {
			ours := runToEnd(t, nil, append([]string{"ledger", "verify"}, row.args...)...)
			theirs := exec.CommandContext(t.Context(), "python3", append([]string{"../../docs/verify.py"}, row.args...)...)
			said, err := theirs.CombinedOutput()
			if theirs.ProcessState == nil {
				t.Fatal(err)
			}
			if code := theirs.ProcessState.ExitCode(); ours.code != row.want || code != row.want {
				t.Errorf("agentidp: %d, verify.py: %d, want %d\n%s%s%s", ours.code, code, row.want, ours.stdout, ours.stderr, said)
			}
			unproven := strings.Contains(ours.stderr, "unproven: ")
			if is := strings.HasPrefix(string(said), "unproven: "); is != unproven {
				t.Errorf("unproven to us: %t, to verify.py: %t\n%s%s", unproven, is, ours.stderr, said)
			}
		})
	}
}
