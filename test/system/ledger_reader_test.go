package system_test

import (
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/internal/config"
)

// readerOf makes the login of the runbook, with its SQL as it stands there, and
// gives what an auditor sets: no Redis and no master key.
func (w *world) readerOf(t *testing.T) (settings []string, login string) {
	t.Helper()
	runbook, err := os.ReadFile("../../docs/runbooks/postgresql.md")
	if err != nil {
		t.Fatal(err)
	}
	recipe := regexp.MustCompile("(?s)## An auditor without keys\n.*?```sql\n(.*?)```").FindSubmatch(runbook)
	if recipe == nil {
		t.Fatal("the runbook has no recipe for an auditor's login")
	}
	login = "auditor_" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12] // logins belong to the cluster, which tests share
	pool := w.superuser(t)
	if _, err := pool.Exec(t.Context(), strings.ReplaceAll(string(recipe[1]), "agentidp_auditor", login)); err != nil {
		t.Fatalf("the runbook's SQL: %v", err)
	}
	t.Cleanup(func() {
		conn, err := pgx.Connect(t.Context(), w.superuserURL)
		if err == nil {
			_, err = conn.Exec(t.Context(), "DROP OWNED BY "+login+"; DROP ROLE "+login)
			_ = conn.Close(t.Context())
		}
		_ = err // the database may be gone already
	})
	database, err := url.Parse(w.setting("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	database.User = url.UserPassword(login, "auditor-password")
	return []string{"DATABASE_URL=" + database.String()}, login
}

// An auditor gets a login that only reads and the pinned key. The key that seals
// everything stays with the operators.
func TestAnAuditorReadsWithoutKeysAndChangesNothing(t *testing.T) {
	t.Parallel()
	a := newAuditor(t)
	reader, login := a.readerOf(t)
	a.write(t, "key", a.key+"\n")
	must := func(code int, args ...string) result { return mustLedger(t, reader, code, args...) }

	for _, args := range [][]string{
		{"state", "agent", a.operator.ClientID},
		{"state", "organization", a.operator.OrganizationID},
		{"tail", "--from", "0"},
		{"verify", "--live", "--key", a.path("key")},
		{"verify", "--live", "--key", a.key, "--organization", a.operator.OrganizationID},
	} {
		if got, want := must(exitOK, args...).stdout, a.must(t, exitOK, args...).stdout; args[0] != "state" && got != want || got == "" {
			t.Errorf("%v prints %q, and with all keys %q", args, got, want)
		}
	}
	must(exitOK, "export", "-o", a.path("bundle"), "--key", a.path("key"))
	must(exitOK, "verify", a.path("bundle"), "--key", a.key)
	pipe := exec.CommandContext(t.Context(), "sh", "-c", `"$0" ledger export -o - --key "$1" | "$0" ledger verify - --key "$1"`, program, a.key)
	pipe.Env, pipe.Dir = append(reader, "PATH="+os.Getenv("PATH"), "TMPDIR="+t.TempDir()), a.dir
	if output, err := pipe.CombinedOutput(); err != nil || !strings.Contains(string(output), "intact: ") {
		t.Errorf("export into verify through a pipe: %v\n%s", err, output)
	}
	must(exitOK, "export", "-o", a.path("own"), "--key", a.key, "--organization", a.operator.OrganizationID)
	own := strings.TrimSpace(a.must(t, exitOK, "checkpoint", "--key", "--organization", a.operator.OrganizationID).stdout)
	must(exitOK, "verify", a.path("own"), "--key", own, "--unsigned-tail")

	for says, args := range map[string][]string{
		"MASTER_KEY_FILE is not set": {"checkpoint"},
		"(--key)":                    {"export", "-o", a.path("none")},
		"permission denied":          {"verify", "--live", "--incremental", "--key", a.key},
	} {
		if r := must(exitBadUsage, args...); !strings.Contains(r.stderr, says) {
			t.Errorf("%v says %q, want %q", args, r.stderr, says)
		}
	}

	conn, err := pgx.Connect(t.Context(), strings.TrimPrefix(reader[0], "DATABASE_URL="))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), `SET default_transaction_read_only = off`); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`UPDATE ledger_head SET position = 1`, `DELETE FROM events`, `INSERT INTO checkpoints SELECT * FROM checkpoints`, `UPDATE agents SET status = 'active'`,
		`SET ROLE agentidp_server`, `SET ROLE agentidp_projector`, `SELECT * FROM signing_keys`, `SELECT * FROM snapshots`, `CREATE TABLE mine ()`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s may: %s", login, sql)
		}
	}

	a.asSuperuser(t, `ALTER ROLE `+login+` NOBYPASSRLS`)
	if r := must(exitBadUsage, "tail"); !strings.Contains(r.stderr, "docs/runbooks/postgresql.md") {
		t.Errorf("a login that row-level security holds for is told %q", r.stderr)
	}
}

// With the ledger in EventStoreDB the auditor has a login to each: one that reads
// what follows from the ledger, and an address of the ledger itself.
func TestAnAuditorReadsALedgerInEventStoreDB(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, config.EventStoreESDB)
	a := newAuditorOf(t, w)
	s := a.serve(t)
	lender := s.tenant(t, w)
	s.must(t, 200, "GET", "/api/v1/organizations/"+lender.organization+"/checkpoint", lender.operatorToken, nil) // has waited for the logs
	s.kill(t)
	reader, _ := a.readerOf(t)
	must := func(code int, args ...string) result { return mustLedger(t, reader, code, args...) }
	reader = append(reader, "EVENTSTORE="+config.EventStoreESDB, "ESDB_URL="+w.setting("ESDB_URL"))
	before := w.eventStore.Events("barrier") // what shows that a read came from the leader
	for _, args := range [][]string{
		{"state", "agent", lender.agent}, {"state", "organization", lender.organization}, {"state", "credential", lender.credential},
		{"tail", "--from", "0"}, {"tail", "-n", "3"}, {"tail", "--organization", lender.organization},
		{"verify", "--live", "--key", a.key}, {"verify", "--live", "--key", a.key, "--organization", a.operator.OrganizationID},
	} {
		if got, want := must(exitOK, args...).stdout, a.must(t, exitOK, args...).stdout; args[0] != "state" && got != want || got == "" {
			t.Errorf("%v prints %q, and with all keys %q", args, got, want)
		}
	}
	must(exitOK, "export", "-o", a.path("bundle"), "--key", a.key)
	must(exitOK, "verify", a.path("bundle"), "--key", a.key, "--unsigned-tail") // what the tenant came to
	must(exitOK, "export", "-o", a.path("own"), "--key", a.key, "--organization", a.operator.OrganizationID)
	if after := w.eventStore.Events("barrier"); after != before {
		t.Errorf("%d events are there after an auditor has read, want %d", after, before)
	}
}
