package main

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
)

// putBack takes the newest events from the ledger, and from it alone, as when its
// store is restored to an earlier state; forwards puts them there again.
func (w *world) putBack(t *testing.T, to eventstore.Position) (forwards func()) {
	t.Helper()
	w.asSuperuser(t, fmt.Sprintf(`ALTER TABLE events DISABLE TRIGGER ALL; ALTER TABLE ledger_head DISABLE TRIGGER ALL;
		CREATE TABLE lost AS SELECT * FROM events WHERE position > %[1]d; DELETE FROM events WHERE position > %[1]d;
		UPDATE ledger_head SET position = %[1]d`, to))
	return func() {
		t.Helper()
		w.asSuperuser(t, `INSERT INTO events SELECT * FROM lost; DROP TABLE lost; UPDATE ledger_head SET position = (SELECT max(position) FROM events)`)
	}
}

// A store that is put back under a running server is not written on, and vouches
// for nothing, until its events are there again.
func TestALedgerThatLosesEventsUnderAServerIsNotWrittenOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	owner := s.tenant(t, w)
	before := w.head(t)
	token := s.mustToken(t, owner.agent, owner.secret, "")
	s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil)
	for back := range 3 {
		end := w.head(t)
		to := before - eventstore.Position(3*back)
		forwards := w.putBack(t, to)
		unwell := s.must(t, http.StatusServiceUnavailable, http.MethodGet, "/health", "", nil)
		if known, _ := unwell.body["knownPosition"].(float64); unwell.text("status") != "unhealthy" || eventstore.Position(known) != end {
			t.Errorf("/health: %v, want unhealthy and the position %d", unwell, end)
		}
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
		if head := w.head(t); head != to {
			t.Errorf("the ledger was written on, from %d to %d", to, head)
		}
		forwards()
		s.healthy(t, patience)
		s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil)
		s.mustToken(t, owner.agent, owner.secret, "")
	}
	stop(t, s)
	mustLedger(t, w.settings, exitOK, "verify", "--live")
}

// A server does not start on a ledger that lacks what is known of it. The operator
// puts the right store back, or accepts the loss, which is on record then.
func TestAServerDoesNotStartOnALedgerThatHasLostEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	owner := s.tenant(t, w)
	kept := w.head(t)
	lost := s.mustToken(t, owner.agent, owner.secret, "")
	s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents", owner.operatorToken, owner.registration("lost"))
	stop(t, s)

	forwards := w.putBack(t, kept)
	r := w.launchServer(t, freePort(t)).wait(t, patience)
	if r.code == exitOK || !strings.Contains(r.stderr, fmt.Sprintf("ends at position %d", kept)) || !strings.Contains(r.stderr, "docs/runbooks/lost-events.md") {
		t.Errorf("a server started: code %d\n%s", r.code, r.stderr)
	}
	forwards()
	stop(t, w.serve(t)) // the right store

	w.putBack(t, kept)
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
		if err == nil && !strings.Contains(fmt.Sprint(found.body), "endPosition:"+fmt.Sprint(kept)) {
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
	await(t, "the log to have all events", func(context.Context) error {
		if r := runToEnd(t, w.settings, "ledger", "checkpoint"); r.code != exitOK {
			return fmt.Errorf("code %d: %s", r.code, r.stderr)
		}
		return nil
	})
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
func stop(t *testing.T, s *server) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	s.wait(t, patience)
}
