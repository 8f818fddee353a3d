package system_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/server/servertest"
)

// state is the ledger's store as it was at some time.
type state struct {
	head    eventstore.Position
	putBack func() (forwards func())
}

// mark remembers the state of the store, and of it alone: read models stay.
func (w *world) mark(t *testing.T, cluster *wiretest.Cluster) state {
	t.Helper()
	head := w.head(t)
	if cluster != nil {
		restore := func(to model.Backup) {
			t.Helper()
			cluster.Node(0).Stop()
			cluster.Model().Restore(to)
			if err := cluster.Node(0).Start(); err != nil {
				t.Fatal(err)
			}
		}
		before := cluster.Model().Backup()
		return state{head, func() func() {
			after := cluster.Model().Backup()
			restore(before)
			return func() { restore(after) }
		}}
	}
	superuser := w.superuser(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := superuser.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return state{head, func() func() {
		exec(fmt.Sprintf(`ALTER TABLE events DISABLE TRIGGER ALL; ALTER TABLE ledger_head DISABLE TRIGGER ALL;
			CREATE TABLE lost AS SELECT * FROM events WHERE position > %[1]d; DELETE FROM events WHERE position > %[1]d;
			UPDATE ledger_head SET position = %[1]d`, head))
		return func() {
			exec(`INSERT INTO events SELECT * FROM lost; DROP TABLE lost; UPDATE ledger_head SET position = (SELECT max(position) FROM events)`)
		}
	}}
}

// onAStoreThatIsPutBack runs a test with the ledger in either engine.
func onAStoreThatIsPutBack(t *testing.T, run func(*testing.T, *world, *wiretest.Cluster)) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		run(t, newWorld(t), nil)
	})
	t.Run("esdb", func(t *testing.T) {
		t.Parallel()
		cluster, settings := servertest.ESDB(t, 1)
		run(t, newWorld(t, settings...), cluster)
	})
}

// A store that is put back under a running server is not written on, and vouches
// for nothing, until its events are there again.
func TestALedgerThatLosesEventsUnderAServerIsNotWrittenOn(t *testing.T) {
	onAStoreThatIsPutBack(t, func(t *testing.T, w *world, cluster *wiretest.Cluster) {
		s := w.serve(t)
		owner := s.tenant(t, w)
		var states []state
		var token string
		rounds := earlierStates
		if cluster != nil { // the engine waits between attempts; its own test has it meet twenty
			rounds = 4
		}
		for range rounds {
			states = append(states, w.mark(t, cluster))
			token = s.mustToken(t, owner.agent, owner.secret, "")
		}
		end := w.head(t)
		for _, earlier := range states {
			forwards := earlier.putBack()
			await(t, "the server to find out", func(ctx context.Context) error {
				r, err := s.call(ctx, http.MethodGet, "/health", "", nil)
				if known, _ := r.body["knownPosition"].(float64); err == nil && (r.status != http.StatusServiceUnavailable || eventstore.Position(known) < end) {
					err = fmt.Errorf("/health: %v, want 503 and a position from %d on", r, end)
				}
				return err
			})
			s.must(t, http.StatusServiceUnavailable, http.MethodGet, "/health/detailed", "", nil)
			refused := s.must(t, http.StatusServiceUnavailable, http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil)
			if !strings.Contains(refused.text("message"), "lacks events that it had") {
				t.Errorf("a token is refused with %v", refused)
			}
			for what, form := range map[string]url.Values{"/oauth2/token": {"grant_type": {"client_credentials"}}, "/oauth2/introspect": {"token": {token}}} {
				r, err := s.form(within(t, patience), what, owner.agent, owner.secret, form)
				if err != nil || r.status != http.StatusServiceUnavailable {
					t.Errorf("%s: %v, %v, want 503", what, r, err)
				}
			}
			if head := w.head(t); head != earlier.head {
				t.Errorf("the ledger was written on, from %d to %d", earlier.head, head)
			}
			forwards()
			s.healthy(t, patience)
			s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil)
		}
		s.mustToken(t, owner.agent, owner.secret, "")
		stop(t, s)
		mustLedger(t, w.settings, exitOK, "verify", "--live")
	})
}

// earlierStates is to how many states the store is put back.
const earlierStates = 20

// No server starts on any of the states that its store has had, and nothing is
// written there; it starts on the right one.
func TestAServerStartsOnNoEarlierState(t *testing.T) {
	onAStoreThatIsPutBack(t, func(t *testing.T, w *world, cluster *wiretest.Cluster) {
		s := w.serve(t)
		owner := s.tenant(t, w)
		var states []state
		var token string
		for range earlierStates {
			states = append(states, w.mark(t, cluster))
			token = s.mustToken(t, owner.agent, owner.secret, "")
		}
		w.awaitLog(t)
		stop(t, s)
		for _, earlier := range states {
			forwards := earlier.putBack()
			r := w.launchServer(t, freePort(t)).wait(t, patience)
			if r.code == exitOK || !strings.Contains(r.stderr, fmt.Sprintf("ends at position %d", earlier.head)) || !strings.Contains(r.stderr, "docs/runbooks/lost-events.md") {
				t.Errorf("a server started on position %d: code %d\n%s", earlier.head, r.code, r.stderr)
			}
			if head := w.head(t); head != earlier.head {
				t.Errorf("the ledger was written on, from %d to %d", earlier.head, head)
			}
			forwards()
		}
		s = w.serve(t)
		s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil)
	})
}

// A server does not start on a ledger that lacks what is known of it. The operator
// puts the right store back, or accepts the loss, which is on record then.
func TestAServerDoesNotStartOnALedgerThatHasLostEvents(t *testing.T) {
	onAStoreThatIsPutBack(t, startsOnNoLedgerThatHasLostEvents)
}

func startsOnNoLedgerThatHasLostEvents(t *testing.T, w *world, cluster *wiretest.Cluster) {
	s := w.serve(t)
	owner := s.tenant(t, w)
	earlier := w.mark(t, cluster)
	lost := s.mustToken(t, owner.agent, owner.secret, "")
	s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents", owner.operatorToken, owner.registration("lost"))
	w.awaitLog(t)
	stop(t, s)

	forwards := earlier.putBack()
	r := w.launchServer(t, freePort(t)).wait(t, patience)
	if r.code == exitOK || !strings.Contains(r.stderr, fmt.Sprintf("ends at position %d", earlier.head)) || !strings.Contains(r.stderr, "docs/runbooks/lost-events.md") {
		t.Errorf("a server started: code %d\n%s", r.code, r.stderr)
	}
	forwards()
	stop(t, w.serve(t)) // the right store

	earlier.putBack()
	if r := mustLedger(t, w.settings, exitFailed, "adopt"); !strings.Contains(r.stderr, "--accept-loss") {
		t.Errorf("adopt, without a word on the loss:\n%s", r.stderr)
	}
	if r := mustLedger(t, w.settings, exitBadUsage, "adopt", "--accept-loss"); !strings.Contains(r.stderr, "LEDGER_ORIGIN") {
		t.Errorf("under the same origin:\n%s", r.stderr)
	}
	w.settings = append(slices.Clone(w.settings), "LEDGER_ORIGIN=again.agentidp.test")
	mustLedger(t, w.settings, exitOK, "adopt", "--accept-loss")
	if again := mustLedger(t, w.settings, exitOK, "adopt", "--accept-loss"); !strings.Contains(again.stderr, "Nothing to do") {
		t.Errorf("adopted again:\n%s", again.stderr)
	}
	s = w.serve(t)
	s.must(t, http.StatusUnauthorized, http.MethodGet, "/api/v1/agents/"+owner.agent, lost, nil)
	operator := s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "")
	await(t, "the loss to be in the audit trail", func(ctx context.Context) error {
		found, err := s.call(ctx, http.MethodGet, "/api/v1/audit?action=ledger.events_lost", operator, nil)
		if err == nil && !strings.Contains(fmt.Sprint(found.body), "endPosition:"+fmt.Sprint(earlier.head)) {
			err = fmt.Errorf("%v", found)
		}
		return err
	})
	s.mustToken(t, owner.agent, owner.secret, "")
	operator = s.mustToken(t, w.operator.ClientID, w.operator.ClientSecret, "admin:orgs agents:read agents:write audit:read tokens:read")
	s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents", operator, owner.registration("again"))
	stop(t, s)
	mustLedger(t, w.settings, exitOK, "verify", "--live")
}

// A restored backup knows nothing of what came after it. The file of signed
// checkpoints, which is not in it, does.
func TestWhatWasSignedTellsOfALossThatTheDatabaseDoesNotKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	owner := s.tenant(t, w)
	stop(t, s)
	backup := w.backup(t)
	s = w.serve(t)
	s.mustToken(t, owner.agent, owner.secret, "")
	w.awaitLog(t)
	stop(t, s)

	w = w.restored(t, backup)
	r := w.launchServer(t, freePort(t)).wait(t, patience)
	if r.code == exitOK || !strings.Contains(r.stderr, "there was an event at") {
		t.Errorf("a server started: code %d\n%s", r.code, r.stderr)
	}
	w.settings = append(slices.Clone(w.settings), "LEDGER_ORIGIN=again.agentidp.test")
	mustLedger(t, w.settings, exitOK, "adopt", "--accept-loss")
	s = w.serve(t)
	s.mustToken(t, owner.agent, owner.secret, "")
}

// stop ends a server as an operator does.
func stop(t *testing.T, s *node) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	s.wait(t, patience)
}

// awaitLog waits until the database knows of every event: its log has them all, and
// that is signed.
func (w *world) awaitLog(t *testing.T) {
	t.Helper()
	await(t, "the log to have all events", func(context.Context) error {
		if r := runToEnd(t, w.settings, "ledger", "checkpoint"); r.code != exitOK {
			return fmt.Errorf("code %d: %s", r.code, r.stderr)
		}
		return nil
	})
}
