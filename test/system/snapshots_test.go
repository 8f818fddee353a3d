package system_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/ledger"
)

// Somebody with the server's login in the database, and nothing else, writes
// into the states that servers decide from: nobody gets in by it, and it is
// found. Nor is a token overlooked that a server issued which believed it.
func TestWhoeverCanWriteToTheDatabaseMakesNoOperator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "SNAPSHOT_EVERY=2")
	s := w.serve(t)
	owner := s.tenant(t, w)
	second := s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents", owner.operatorToken, owner.registration("second")).text("agentId")
	for _, status := range []string{"suspended", "active", "suspended", "active"} {
		s.must(t, http.StatusOK, http.MethodPatch, "/api/v1/agents/"+second, owner.operatorToken, map[string]any{"status": status})
	}
	for range 5 {
		s.mustToken(t, owner.agent, owner.secret, "")
	}
	s.signal(t, syscall.SIGTERM)
	s.wait(t, patience)
	expect := func(code int, said string, args ...string) {
		t.Helper()
		if r := runToEnd(t, w.settings, args...); r.code != code || !strings.Contains(r.stdout+r.stderr, said) {
			t.Errorf("%v: code %d, want %d and %q in:\n%s%s", args, r.code, code, said, r.stdout, r.stderr)
		}
	}
	expect(exitOK, "snapshots: ", "projections", "verify")
	expect(exitOK, "intact", "ledger", "verify", "--live")

	agent, err := domain.ParseAgentID(owner.agent)
	if err != nil {
		t.Fatal(err)
	}
	state, err := ledger.New(w.openStore(t), nil, nil, ledger.Options{}).Agent(t.Context(), agent)
	if err != nil {
		t.Fatal(err)
	}
	// Without the master key the attacker cannot know a verifier of a secret; one of
	// theirs that we could check would be as good. So the agent's own stands for it.
	state.Scopes = domain.AllScopes()
	forged, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	login := pgtest.Pool(t, w.setting("DATABASE_URL"))
	done, err := login.Exec(t.Context(), `UPDATE snapshots SET state = $2 WHERE stream = $1`, domain.AgentStream(agent), forged)
	if err != nil || done.RowsAffected() != 1 {
		t.Fatalf("%v, %d rows", err, done.RowsAffected())
	}
	expect(exitFailed, "snapshots stream="+domain.AgentStream(agent)+": changed", "projections", "verify", "snapshots")
	expect(exitOK, "as the ledger says", "projections", "verify", "agents")

	s = w.serve(t)
	refused, err := s.token(within(t, patience), owner.agent, owner.secret, "admin:orgs")
	if err != nil || refused.status != http.StatusBadRequest || refused.text("error") != "invalid_scope" {
		t.Errorf("a token of a forged scope: %v, %v; want 400 invalid_scope", refused, err)
	}
	s.awaitOutput(t, &s.stderr, "a snapshot is of no use and is dropped")
	s.mustToken(t, owner.agent, owner.secret, "agents:read")
	s.signal(t, syscall.SIGTERM)
	s.wait(t, patience)
	expect(exitOK, "as the ledger says", "projections", "verify", "snapshots")

	made := recorded(t, state.OrganizationID.UUID, agent, domain.TokenIssued{
		AgentID: agent, TokenID: domain.TokenID{UUID: uuid.New()}, CredentialID: domain.CredentialID{UUID: uuid.New()},
		AuthMethod: domain.KeyCredential, Scope: "admin:orgs", Audience: "http://agentidp.test", Algorithm: "ES256", KeyID: "k1", ExpiresAt: state.CreatedAt,
	})
	if _, err := w.openStore(t).Append(t.Context(), domain.AgentStream(agent), eventstore.Any(), made); err != nil {
		t.Fatal(err)
	}
	expect(exitFailed, "unfounded_token", "ledger", "verify", "--live")
	if r := runToEnd(t, w.settings, "ledger", "verify", "--live", "--json"); !strings.Contains(r.stdout, made.ID.String()) {
		t.Errorf("the finding does not name event %s:\n%s", made.ID, r.stdout)
	}
}
