package system_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/internal/realstore"
	"github.com/sentryagent/agentidp/server/servertest"
)

func copied(t *testing.T, r result, code int) (shown shownCopy) {
	t.Helper()
	if r.code != code {
		t.Fatalf("ledger copy: code %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
	}
	if err := json.Unmarshal([]byte(r.stdout), &shown); err != nil {
		t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	return shown
}

// The runbook, as an operator goes by it: the copy follows a server that is in
// use and is killed twice on the way; after the cut-over the server goes on from
// the other engine, and nothing is missing. Then everything goes back again.
func TestALedgerMovesHouseUnderLoadAndBackAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	token := s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "admin:orgs audit:read")
	s.must(t, 200, "GET", "/api/v1/organizations/"+w.operator.OrganizationID+"/checkpoint", token, nil)
	server, _ := servertest.ESDB(t, 1)
	there := realstore.Ledger(server.URL(), "moved")
	here := w.setting("DATABASE_URL")

	var issued []string
	var load sync.WaitGroup
	stop := make(chan struct{})
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				issued = append(issued, s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, ""))
			}
		}
	})
	arguments := []string{"ledger", "copy", "--from", here, "--to", there, "--follow", "--json"}
	for range 2 {
		c := launch(t, nil, arguments...)
		time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
		c.kill(t)
	}
	c := launch(t, nil, arguments...)
	c.awaitOutput(t, &c.stderr, "following:")
	close(stop)
	load.Wait()
	s.signal(t, syscall.SIGTERM)
	s.wait(t, patience)
	w.asSuperuser(t, `REVOKE INSERT ON events FROM agentidp_server`) // the old ledger is over
	c.signal(t, syscall.SIGTERM)
	moved := copied(t, c.wait(t, patience), exitOK)
	if !moved.Proven || !moved.Complete || moved.Events < int64(len(issued)) || len(moved.Organizations) == 0 {
		t.Errorf("copied: %+v, with %d tokens issued", moved, len(issued))
	}
	if strings.Contains(c.stdout.String()+c.stderr.String(), "@") {
		t.Errorf("the output may show a password:\n%s%s", c.stdout.String(), c.stderr.String())
	}

	w.settings = append(w.settings, "EVENTSTORE=esdb", "ESDB_URL="+there, "LEDGER_ORIGIN=esdb.agentidp.test")
	between := w.goesOn(t, moved, token)

	w.asSuperuser(t, `GRANT INSERT ON events TO agentidp_server`)
	back := copied(t, runToEnd(t, nil, "ledger", "copy", "--from", there, "--to", here, "--json"), exitOK)
	if !back.Proven || back.Events != moved.Events+back.Copied || back.Copied == 0 {
		t.Errorf("copied back: %+v after %+v", back, moved)
	}
	w.settings = append(w.settings, "EVENTSTORE=postgres", "LEDGER_ORIGIN=back.agentidp.test")
	issued = append(issued, w.goesOn(t, back, between[0])...)
	w.mustHoldInLedger(t, issued)
}

func (w *world) asSuperuser(t *testing.T, sql string) {
	t.Helper()
	if _, err := w.superuser(t).Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// goesOn is the end of the runbook: no server starts before the database has
// adopted the ledger where it is now. Then it uses it.
func (w *world) goesOn(t *testing.T, moved shownCopy, old string) (issued []string) {
	t.Helper()
	for _, command := range []string{"serve", "bootstrap"} {
		if r := runToEnd(t, w.settings, command); r.code == exitOK || !strings.Contains(r.stderr, "agentidp ledger adopt") {
			t.Errorf("%s on a ledger that was moved: code %d\n%s", command, r.code, r.stderr)
		}
	}
	mustLedger(t, w.settings, exitOK, "adopt")
	if r := mustLedger(t, w.settings, exitOK, "adopt"); !strings.Contains(r.stderr, "Nothing to do") {
		t.Errorf("adopted once more:\n%s%s", r.stdout, r.stderr)
	}
	shown := report(t, mustLedger(t, w.settings, exitOK, "verify", "--live", "--json"))
	if !shown.Verified || shown.RootHash != moved.RootHash || shown.TreeSize != moved.Events {
		t.Errorf("after the move: %+v, want what was copied: %d events, root %s", shown, moved.Events, moved.RootHash)
	}
	s := w.serve(t)
	for range 5 {
		issued = append(issued, s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, ""))
	}
	token := s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "admin:orgs audit:read")
	checkpoint := "/api/v1/organizations/" + w.operator.OrganizationID + "/checkpoint"
	s.must(t, 200, "GET", checkpoint, token, nil)
	s.must(t, 401, "GET", checkpoint, old, nil)
	mustLedger(t, w.settings, exitOK, "checkpoint") // a server has to be there, which brings the log up to date
	s.signal(t, syscall.SIGTERM)
	s.wait(t, patience)
	mustLedger(t, w.settings, exitOK, "verify", "--live")
	mustLedger(t, w.settings, exitOK, "verify", "--live", "--incremental")
	return append(issued, token)
}

func TestCopyTellsWhatItCannotDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	here := w.setting("DATABASE_URL")
	other := newWorld(t).setting("DATABASE_URL") // has a ledger of its own
	empty := pgtest.New(t, pgtest.Template{}).ServerURL
	const secret = "hunter2"
	for _, c := range []struct {
		name, from, to, want string
		code                 int
	}{
		{"another ledger", here, other, "no copy of the source: event ", exitFailed},
		{"a target without tables", here, empty, "agentidp migrate", exitBadUsage},
		{"no source", "", here, "--from is missing", exitBadUsage},
		{"onto itself", here, here, "are the same", exitBadUsage},
		{"not an engine", "mysql://root:" + secret + "@db/x", here, "must be postgres://", exitBadUsage},
		{"nobody there", "postgres://me:" + secret + "@127.0.0.1:1/x", here, "127.0.0.1:1 cannot be reached", exitBadUsage},
		{"no server there", here, "esdb://me:" + secret + "@127.0.0.1:1?tls=false", "esdb://127.0.0.1:1 cannot be reached", exitBadUsage},
		{"odd options", here, "esdb://me:" + secret + "@127.0.0.1:1?tls=perhaps", "not an EventStoreDB connection string", exitBadUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runToEnd(t, []string{"LEDGER_COPY_FROM=" + c.from, "LEDGER_COPY_TO=" + c.to}, "ledger", "copy")
			if r.code != c.code || !strings.Contains(r.stderr, c.want) {
				t.Errorf("code %d, want %d and %q:\n%s%s", r.code, c.code, c.want, r.stdout, r.stderr)
			}
			if strings.Contains(r.stdout+r.stderr, secret) {
				t.Errorf("it shows the password:\n%s%s", r.stdout, r.stderr)
			}
		})
	}
	r := runToEnd(t, nil, "ledger", "copy", "--from", here, "--to", other, "--json")
	if shown := copied(t, r, exitFailed); shown.Proven || shown.Difference == nil || shown.Difference.Index < 0 {
		t.Errorf("a target that is no copy: %s", r.stdout)
	}
}
