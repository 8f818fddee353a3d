package system_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/server/upkeep"
)

func TestMigrateAndBootstrapMayBeRepeated(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, pgtest.Template{})
	w := emptyWorld(t, database.ServerURL, database.OwnerURL, pgtest.Redis(t))

	first := runToEnd(t, w.settings, "migrate")
	if first.code != exitOK || !strings.Contains(first.stdout, "applied 00001_ledger.sql") {
		t.Fatalf("the first migrate: code %d, %q, %q", first.code, first.stdout, first.stderr)
	}
	second := runToEnd(t, w.settings, "migrate")
	if want := "nothing to do: the database is up to date\n"; second.code != exitOK || second.stdout != want {
		t.Errorf("the second migrate: code %d, %q, want %q", second.code, second.stdout, want)
	}

	made := bootstrapped(t, w)
	if made.ClientSecret == "" {
		t.Errorf("the first bootstrap shows no secret: %+v", made)
	}
	again := bootstrapped(t, w)
	if want := (upkeep.Operator{ClientID: made.ClientID, OrganizationID: made.OrganizationID, BaseURL: made.BaseURL}); again != want {
		t.Errorf("the second bootstrap: %+v, want %+v", again, want)
	}
	another := bootstrapped(t, w, "--new-credential")
	if another.ClientID != made.ClientID || another.ClientSecret == "" || another.ClientSecret == made.ClientSecret {
		t.Errorf("bootstrap --new-credential: %+v after %+v, want the same client and another secret", another, made)
	}
	s := w.serve(t)
	for _, secret := range []string{made.ClientSecret, another.ClientSecret} {
		s.mustToken(t, made.ClientID, secret, "admin:orgs")
	}
	w.mustHoldInLedger(t, nil)
}

func bootstrapped(tb testing.TB, w *world, flags ...string) upkeep.Operator {
	tb.Helper()
	r := runToEnd(tb, w.settings, append([]string{"bootstrap"}, flags...)...)
	var operator upkeep.Operator
	if err := json.Unmarshal([]byte(r.stdout), &operator); err != nil || r.code != exitOK {
		tb.Fatalf("bootstrap %v: code %d, %v\n%s%s", flags, r.code, err, r.stdout, r.stderr)
	}
	return operator
}

// A file that was named has to be there; what healthcheck needs may stand in it as well.
func TestSettingsFile(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for _, args := range [][]string{{"serve"}, {"healthcheck"}, {"ledger", "verify", "--live"}} {
		r := runToEnd(t, nil, append(args, "--env-file", missing)...)
		if r.code != exitBadUsage || !strings.Contains(r.stderr, "--env-file: stat "+missing) {
			t.Errorf("%v with a file that is not there: code %d, %s", args, r.code, r.stderr)
		}
	}
	settings := filepath.Join(t.TempDir(), "env")
	port := strconv.Itoa(freePort(t))
	if err := os.WriteFile(settings, []byte("PORT="+port+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := runToEnd(t, nil, "healthcheck", "--env-file", settings); r.code != exitFailed || !strings.Contains(r.stderr, "127.0.0.1:"+port) {
		t.Errorf("healthcheck asks elsewhere: code %d, %s", r.code, r.stderr)
	}
}

func TestDemoTellsTheWholeJourneyByItself(t *testing.T) {
	t.Parallel()
	r := launchAs(t, devProgram, []string{"TMPDIR=" + os.TempDir()}, "demo").wait(t, patience)
	if r.code != exitOK || !strings.Contains(r.stdout, "No server is up") || !strings.Contains(r.stdout, "Found: the very event that was altered.") {
		t.Errorf("code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
