package api_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/server/upkeep"
)

func revokeAll(path string, credentials bool) func(*server, string, agent, string) error {
	return func(s *server, operator string, a agent, _ string) error {
		path := strings.NewReplacer("{agentId}", a.id, "{orgId}", a.organization).Replace(path)
		_, err := s.want(post(operator, path, map[string]any{"reason": "a round", "credentials": credentials}), 200, "")
		return err
	}
}

const (
	revokeAgentPath        = "/api/v1/agents/{agentId}/revoke-all"
	revokeOrganizationPath = "/api/v1/organizations/{orgId}/revoke-all"
)

// What one event ends is dead at every server from its answer on, and what comes
// after it lives.
func TestRevokingAllHoldsAtOnceOnEveryServer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	other := s.another(t)
	for _, e := range []end{
		{name: "an agent's tokens", do: revokeAll(revokeAgentPath, false)},
		{name: "an agent's tokens and credentials", do: revokeAll(revokeAgentPath, true), secret: true, restore: addCredential},
		{name: "an organization's tokens", do: revokeAll(revokeOrganizationPath, false)},
		{name: "an organization's tokens and credentials", do: revokeAll(revokeOrganizationPath, true), secret: true, restore: addCredential},
	} {
		who := s.agent(t, s.organization(t, nil), "agents:read")
		for i := range 20 {
			servers := []*server{s.server, other}
			if i%2 == 1 {
				slices.Reverse(servers)
			}
			if err := e.round(servers[0], servers[1], s.operator, &who); err != nil {
				t.Fatalf("%s, round %d: %v", e.name, i, err)
			}
		}
	}
}

func TestRevokingAllOfAnOrganization(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n, elsewhere := s.tenant(t), s.tenant(t)
	second := s.agent(t, n.organization, tenantScopes)
	s.must(t, post(s.operator, "/api/v1/organizations/"+n.organization+"/members", map[string]any{"agentId": n.id, "role": "admin"}), 201, "")
	secondToken, foreign := s.token(t, second, tenantScopes), s.lend(t, elsewhere)
	lent := s.must(t, post(secondToken, "/oauth2/token/delegate", map[string]any{
		"delegateeAgentId": n.id, "scopes": []string{"agents:read"}, "ttlSeconds": 600,
	}), 201, "")
	lentToken := s.must(t, exchangeRequest(n.token, lent.text("delegationToken"), ""), 200, "").text("access_token")
	path, body := "/api/v1/organizations/"+n.organization+"/revoke-all", map[string]any{"reason": "a laptop was stolen", "credentials": true}

	// Not for members by a narrow or lent token, nor for who has no role there.
	for name, token := range map[string]string{
		"an admin's narrow token": s.token(t, n.agent, "agents:read"), "an admin's lent token": lentToken,
		"no admin": secondToken,
	} {
		if _, err := s.want(post(token, path, body), 403, "INSUFFICIENT_SCOPE"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.must(t, post(elsewhere.token, path, body), 403, "AUTHORIZATION_ERROR")
	for _, bad := range []map[string]any{{}, {"reason": ""}, {"reason": "  "}, {"reason": strings.Repeat("r", 257)}, {"reason": "x", "credentials": nil}, {"reason": "x", "all": true}} {
		s.must(t, post(n.token, path, bad), 400, "VALIDATION_ERROR")
	}
	s.must(t, get(secondToken, second.path()), 200, "") // nothing of that has ended anything

	answer := s.must(t, post(n.token, path, body), 200, "")
	at, err := time.Parse(time.RFC3339, answer.text("revokedAt"))
	if err != nil || time.Since(at).Abs() > time.Minute || answer.text("organizationId") != n.organization ||
		answer.text("reason") != "a laptop was stolen" || answer.object()["credentials"] != true || answer.header.Get("X-Ledger-Position") == "" {
		t.Errorf("answer %s", answer.body)
	}
	if err := errors.Join(s.mustDie(n.token), s.mustDie(secondToken), s.mustDie(lentToken)); err != nil {
		t.Error(err)
	}
	for _, a := range []agent{n.agent, second} {
		s.must(t, tokenRequest(a, ""), 401, "invalid_client")
	}

	// It can be read at once, and by the organization alone it has ended.
	for _, c := range s.must(t, get(s.operator, second.path()+"/credentials"), 200, "").list("data") {
		if c["status"] != "revoked" || c["revokedAt"] != answer.text("revokedAt") {
			t.Errorf("a credential is listed as %v", c)
		}
	}
	s.must(t, remove(s.operator, second.path()+"/credentials/"+second.credential), 409, "CREDENTIAL_ALREADY_REVOKED")
	s.must(t, post(s.operator, second.path()+"/credentials/"+second.credential+"/rotate", map[string]any{}), 409, "CREDENTIAL_ALREADY_REVOKED")
	listed := s.must(t, get(s.operator, "/api/v1/delegations?organizationId="+n.organization), 200, "").list("data")
	if len(listed) != 1 || listed[0]["status"] != "revoked" || listed[0]["revokedAt"] != answer.text("revokedAt") {
		t.Errorf("delegations %v", listed)
	}
	verified := s.must(t, post(s.operator, "/oauth2/token/verify-delegation", map[string]any{"delegationToken": lent.text("delegationToken")}), 200, "")
	if verified.object()["valid"] != false || verified.text("revokedAt") != answer.text("revokedAt") {
		t.Errorf("the delegation verifies as %s", verified.body)
	}
	trail := s.must(t, get(s.operator, "/api/v1/audit?action=organization.access_revoked&organizationId="+n.organization), 200, "").list("data")
	if len(trail) != 1 || trail[0]["timestamp"] != answer.text("revokedAt") {
		t.Errorf("the trail has %v", trail)
	}
	s.must(t, get(elsewhere.token, elsewhere.path()), 200, "")
	if valid := s.must(t, post(s.operator, "/oauth2/token/verify-delegation", map[string]any{"delegationToken": foreign}), 200, ""); valid.object()["valid"] != true {
		t.Errorf("a delegation of another organization: %s", valid.body)
	}

	// The state at a moment says so, by that event.
	state := s.must(t, get(s.operator, "/api/v1/audit/state/"+second.id), 200, "").object()
	if told := fmt.Sprint(state["tokens"]); !strings.Contains(told, "credential_revoked") || !strings.Contains(told, "organization.access_revoked") {
		t.Errorf("why the agent gets no tokens: %s", told)
	}
	if told := fmt.Sprint(state["delegations"]); !strings.Contains(told, "delegation_access_revoked") {
		t.Errorf("why the delegation has ended: %s", told)
	}
	before := s.must(t, get(s.operator, "/api/v1/audit/state/"+second.id+"?at="+fmt.Sprint(trail[0]["position"].(float64)-1)), 200, "").object()
	if told := fmt.Sprint(before["tokens"]); !strings.Contains(told, "possible:true") {
		t.Errorf("right before, tokens were %s", told)
	}

	// Agents and roles are what they were: a new credential does all again.
	if err := addCredential(s.server, s.operator, &n.agent); err != nil {
		t.Fatal(err)
	}
	fresh := s.token(t, n.agent, tenantScopes)
	s.must(t, get(fresh, "/api/v1/organizations/"+n.organization+"/members"), 200, "")
	again := s.must(t, post(fresh, path, map[string]any{"reason": "and once more"}), 200, "")
	if again.object()["credentials"] != false {
		t.Errorf("left out, credentials is %s", again.body)
	}
	if err := s.mustDie(fresh); err != nil {
		t.Error(err)
	}
	s.token(t, n.agent, "")
	if report := s.must(t, get(s.operator, "/api/v1/audit/verify"), 200, ""); report.object()["verified"] != true {
		t.Errorf("verification %s", report.body)
	}
}

func TestRevokingAllOfAnAgent(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	victim, peer := s.agent(t, n.organization, "agents:read audit:read"), s.agent(t, n.organization, "agents:read")
	path, body := victim.path()+"/revoke-all", map[string]any{"reason": "its host was searched"}
	lend := func(from, to agent) string {
		return s.must(t, post(s.token(t, from, "agents:read"), "/oauth2/token/delegate", map[string]any{
			"delegateeAgentId": to.id, "scopes": []string{"agents:read"}, "ttlSeconds": 600,
		}), 201, "").text("delegationToken")
	}
	given, received, others := lend(victim, peer), lend(peer, victim), lend(n.agent, peer)
	token, peersToken := s.token(t, victim, ""), s.token(t, peer, "")

	// A narrow token of its own, without agents:write, and another agent's.
	s.must(t, post(s.token(t, victim, "agents:read"), path, body), 403, "INSUFFICIENT_SCOPE")
	s.must(t, post(peersToken, path, body), 403, "INSUFFICIENT_SCOPE")
	lentToken := s.must(t, exchangeRequest(token, received, ""), 200, "").text("access_token")
	s.must(t, post(lentToken, path, body), 403, "INSUFFICIENT_SCOPE")

	answer := s.must(t, post(token, path, body), 200, "") // the agent itself
	if answer.text("agentId") != victim.id || answer.object()["credentials"] != false || answer.text("revokedAt") == "" {
		t.Errorf("answer %s", answer.body)
	}
	if err := errors.Join(s.mustDie(token), s.mustDie(lentToken)); err != nil {
		t.Error(err)
	}
	for name, delegation := range map[string]string{"given": given, "received": received} {
		s.must(t, exchangeRequest(peersToken, delegation, ""), 400, "invalid_request")
		verified := s.must(t, post(peersToken, "/oauth2/token/verify-delegation", map[string]any{"delegationToken": delegation}), 200, "")
		if verified.object()["valid"] != false {
			t.Errorf("what was %s: %s", name, verified.body)
		}
	}
	s.must(t, exchangeRequest(peersToken, others, ""), 200, "")
	s.must(t, get(peersToken, peer.path()), 200, "")

	token = s.token(t, victim, "") // the credential was kept
	all := map[string]any{"reason": "its host was searched", "credentials": true}
	s.must(t, post(n.token, path, all), 200, "") // by a colleague with all of its scopes
	s.must(t, tokenRequest(victim, ""), 401, "invalid_client")
	if err := s.mustDie(token); err != nil {
		t.Error(err)
	}
	for _, c := range s.must(t, get(n.token, victim.path()+"/credentials"), 200, "").list("data") {
		if c["status"] != "revoked" {
			t.Errorf("a credential is listed as %v", c)
		}
	}
	s.must(t, post(n.token, "/api/v1/agents/"+peer.id+"/revoke-all", map[string]any{}), 400, "VALIDATION_ERROR")
	s.must(t, remove(n.token, victim.path()), 204, "")
	s.must(t, post(n.token, path, body), 403, "AGENT_DECOMMISSIONED")
}

// lend is a delegation inside a tenant.
func (s *scene) lend(tb testing.TB, n tenant) (delegationToken string) {
	tb.Helper()
	to := s.agent(tb, n.organization, "agents:read")
	return s.must(tb, post(n.token, "/oauth2/token/delegate", map[string]any{
		"delegateeAgentId": to.id, "scopes": []string{"agents:read"}, "ttlSeconds": 600,
	}), 201, "").text("delegationToken")
}

// Whoever has shut the platform out by its own kill switch gets in again from the
// server's side, without asking for another credential by name.
func TestBootstrapLetsAnOperatorInWhoseCredentialsWereAllEnded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.must(t, post(s.operator, "/api/v1/organizations/"+s.root.organization+"/revoke-all", map[string]any{"reason": "stolen", "credentials": true}), 200, "")
	if err := s.mustDie(s.operator); err != nil {
		t.Error(err)
	}
	s.must(t, tokenRequest(s.root, "admin:orgs"), 401, "invalid_client")
	made, err := upkeep.Bootstrap(t.Context(), s.world.Config(t), false)
	if err != nil || made.ClientID != s.root.id || made.ClientSecret == "" || made.Older != 0 {
		t.Fatalf("bootstrap says %+v, %v; want a new secret and nothing older", made.ClientID, err)
	}
	s.root.secret = made.ClientSecret
	s.must(t, get(s.token(t, s.root, "admin:orgs"), "/api/v1/organizations"), 200, "")
}
