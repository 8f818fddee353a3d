package api_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func (s *server) stateThen(tb testing.TB, token string, a agent, at string) answer {
	tb.Helper()
	path := "/api/v1/audit/state/" + a.id
	if at != "" {
		path += "?at=" + url.QueryEscape(at)
	}
	return s.must(tb, get(token, path), 200, "")
}

// dig goes down into an answer by names of members and numbers of elements.
func (a answer) dig(path string) any {
	var here any = a.object()
	for step := range strings.SplitSeq(path, ".") {
		switch at := here.(type) {
		case map[string]any:
			here = at[step]
		case []any:
			i := int(step[0] - '0')
			if i >= len(at) {
				return nil
			}
			here = at[i]
		default:
			return nil
		}
	}
	return here
}

func mustSay(tb testing.TB, a answer, wants map[string]any) {
	tb.Helper()
	for path, want := range wants {
		if got := a.dig(path); fmt.Sprint(got) != fmt.Sprint(want) {
			tb.Errorf("%s: %s is %v, want %v", a.to.path, path, got, want)
		}
	}
}

// newest is the newest event of an agent with an action, as the trail has it.
func (s *server) newest(tb testing.TB, token string, a agent, action string) map[string]any {
	tb.Helper()
	events := s.must(tb, get(token, "/api/v1/audit?agentId="+a.id+"&action="+action), 200, "").list("data")
	if len(events) == 0 {
		tb.Fatalf("no %s of %s in the trail", action, a.id)
	}
	return events[0]
}

func position(event map[string]any) string {
	number, _ := event["position"].(float64)
	return fmt.Sprint(int64(number))
}

func TestWhatAnAgentWasAtAMoment(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	a := s.agent(t, n.organization, "agents:read audit:read")
	generated := s.newest(t, n.token, a, "credential.generated")
	s.must(t, patch(n.token, a.path(), map[string]any{"owner": "other", "scopes": []string{"agents:read"}}), 200, "")
	updated := s.newest(t, n.token, a, "agent.updated")
	s.must(t, patch(n.token, a.path(), map[string]any{"status": "suspended"}), 200, "")
	suspended := s.newest(t, n.token, a, "agent.suspended")
	s.must(t, remove(n.token, a.path()+"/credentials/"+a.credential), 204, "")
	revoked := s.newest(t, n.token, a, "credential.revoked")
	s.must(t, patch(s.operator, "/api/v1/organizations/"+n.organization, map[string]any{"status": "suspended"}), 200, "")

	for name, test := range map[string]struct {
		at    string
		wants map[string]any
	}{
		"before the change": {position(generated), map[string]any{
			"facts.owner.value": "talent-team", "facts.owner.event.type": "agent.created", "facts.status.value": "active",
			"facts.scopes.value": "[agents:read audit:read]", "facts.email.value": a.email, "facts.lastAuthAt.value": nil,
			"organization.facts.status.value": "active", "organization.facts.planTier.value": "enterprise",
			"credentials.0.credentialId": a.credential, "credentials.0.usable": true, "credentials.0.facts.status.value": "active",
			"credentials.0.facts.kind.value": "client_secret", "credentials.0.facts.status.event.eventId": generated["eventId"],
			"tokens.possible": true, "tokens.scopes": "[agents:read audit:read]", "tokens.reasons": "[]", "at.position": generated["position"],
		}},
		"after the change": {position(updated), map[string]any{
			"facts.owner.value": "other", "facts.owner.event.eventId": updated["eventId"], "facts.owner.event.hash": updated["hash"],
			"facts.owner.event.revision": updated["revision"], "facts.owner.event.stream": updated["stream"],
			"facts.owner.event.actor.id": n.id, "facts.email.event.type": "agent.created",
			"tokens.possible": true, "tokens.scopes": "[agents:read]",
		}},
		"suspended": {position(suspended), map[string]any{
			"facts.status.value": "suspended", "facts.status.event.eventId": suspended["eventId"], "credentials.0.usable": true,
			"tokens.possible": false, "tokens.scopes": "[]",
			"tokens.reasons.0.code": "agent_suspended", "tokens.reasons.0.event.eventId": suspended["eventId"], "tokens.reasons.1": nil,
		}},
		"by time": {suspended["timestamp"].(string), map[string]any{
			"facts.status.value": "suspended", "at.position": nil,
		}},
		"now": {"", map[string]any{
			"credentials.0.usable": false, "credentials.0.facts.status.value": "revoked", "credentials.0.facts.status.event.eventId": revoked["eventId"],
			"organization.facts.status.value": "suspended",
			"tokens.reasons.0.code":           "organization_inactive", "tokens.reasons.0.event.type": "organization.suspended",
			"tokens.reasons.1.code": "agent_suspended", "tokens.reasons.2.code": "credential_revoked",
			"tokens.reasons.2.event.eventId": revoked["eventId"],
		}},
	} {
		t.Run(name, func(t *testing.T) { mustSay(t, s.stateThen(t, s.operator, a, test.at), test.wants) })
	}
	if now := string(s.stateThen(t, s.operator, a, "").body); strings.Contains(now, "verifier") || strings.Contains(now, "mac") {
		t.Errorf("the state tells how a secret is recognized: %s", now)
	}
}

func TestStateOfAnAgentThatWasNotThere(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	before := fmt.Sprintf("%.0f", s.head(t))
	n, stranger := s.tenant(t), s.tenant(t)
	path := "/api/v1/audit/state/" + n.id
	created := s.newest(t, n.token, n.agent, "agent.created")
	for _, at := range []string{before, "2001-01-01T00:00:00Z"} {
		early := s.must(t, get(n.token, path+"?at="+at), 404, "AGENT_NOT_FOUND")
		when, _, _ := strings.Cut(created["timestamp"].(string), ".")
		if !strings.Contains(early.text("message"), when) || fmt.Sprint(early.dig("details.position")) != position(created) {
			t.Errorf("at %s: %s does not say that it was created at %s, position %s", at, early.body, when, position(created))
		}
		s.must(t, get(stranger.token, path+"?at="+at), 403, "AUTHORIZATION_ERROR")
	}
	s.must(t, get(stranger.token, path), 403, "AUTHORIZATION_ERROR")
	s.must(t, get(n.token, "/api/v1/audit/state/"+uuid.NewString()), 403, "AUTHORIZATION_ERROR")
	for _, at := range []string{"0", "-1", "yesterday", "999999999", "2100-01-01T00:00:00Z", "2026-11-23"} {
		s.must(t, get(n.token, path+"?at="+at), 400, "VALIDATION_ERROR")
	}
	reader := s.token(t, n.agent, "agents:read")
	s.must(t, get(reader, path), 403, "INSUFFICIENT_SCOPE")
}

func TestDelegationsAtAMoment(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	first := p.delegate(t, p.ofDelegator, onward(p.delegatee, "agents:read", 1))
	made := p.newest(t, p.ofDelegator, p.delegator, "delegation.created")
	second := p.delegate(t, p.ofDelegator, onward(p.delegatee, "agents:read", 0))
	p.must(t, patch(p.operator, p.delegatee.path(), map[string]any{"status": "suspended"}), 200, "")
	suspended := p.newest(t, p.ofDelegator, p.delegatee, "agent.suspended")
	p.must(t, patch(p.operator, p.delegatee.path(), map[string]any{"status": "active"}), 200, "")
	p.must(t, remove(p.ofDelegator, first.path()), 204, "")
	revoked := p.newest(t, p.ofDelegator, p.delegator, "delegation.revoked")

	mustSay(t, p.stateThen(t, p.ofDelegator, p.delegator, position(made)), map[string]any{
		"delegationsTotal": 1, "delegations.0.chainId": first.chain, "delegations.0.role": "delegator", "delegations.0.alive": true,
		"delegations.0.facts.scopes.value": "[agents:read]", "delegations.0.facts.delegateeAgentId.value": p.delegatee.id,
		"delegations.0.facts.scopes.event.eventId": made["eventId"], "delegations.1": nil,
	})
	mustSay(t, p.stateThen(t, p.ofDelegator, p.delegator, position(suspended)), map[string]any{
		"delegationsTotal": 2, "delegations.0.chainId": second.chain, "delegations.0.alive": false,
		"delegations.0.reasons.0.code": "agent_suspended", "delegations.0.reasons.0.event.eventId": suspended["eventId"],
		"delegations.1.chainId": first.chain, "delegations.1.alive": false,
	})
	mustSay(t, p.stateThen(t, p.operator, p.delegatee, ""), map[string]any{
		"delegationsTotal": 2, "delegations.0.role": "delegatee", "delegations.0.alive": true,
		"delegations.1.alive": false, "delegations.1.reasons.0.code": "delegation_revoked",
		"delegations.1.reasons.0.event.eventId": revoked["eventId"], "delegations.1.facts.revokedAt.event.eventId": revoked["eventId"],
		"tokens.scopes": "[agents:read]", "role": nil,
		"tokens.lent.0.chainId": second.chain, "tokens.lent.0.agentId": p.delegator.id, "tokens.lent.0.email": p.delegator.email,
		"tokens.lent.0.scopes": "[agents:read]", "tokens.lent.1": nil,
	})
	p.must(t, post(p.operator, "/api/v1/organizations/"+p.organization+"/members", map[string]any{"agentId": p.delegatee.id, "role": "admin"}), 201, "")
	p.must(t, remove(p.operator, p.delegator.path()+"/credentials/"+p.delegator.credential), 204, "")
	ended := p.newest(t, p.operator, p.delegator, "credential.revoked")
	mustSay(t, p.stateThen(t, p.operator, p.delegatee, ""), map[string]any{
		"delegations.0.alive": false, "delegations.0.reasons.0.code": "delegation_credential_ended", "tokens.lent": "[]",
		"delegations.0.reasons.0.event.eventId": ended["eventId"], "role.value": "admin",
	})
	before, err := time.Parse(time.RFC3339Nano, made["timestamp"].(string))
	if err != nil {
		t.Fatal(err)
	}
	mustSay(t, p.stateThen(t, p.operator, p.delegator, before.Add(-time.Millisecond).Format(time.RFC3339Nano)), map[string]any{
		"delegationsTotal": 0, "delegations": "[]",
	})
}

// What the answer says of tokens is what the token endpoint does, at every
// step of an agent's life.
func TestTheConclusionIsWhatTheTokenEndpointDoes(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	a := s.agent(t, n.organization, "agents:read")
	steps := []request{
		get(n.token, a.path()),
		patch(n.token, a.path(), map[string]any{"status": "suspended"}),
		patch(n.token, a.path(), map[string]any{"status": "active"}),
		patch(s.operator, "/api/v1/organizations/"+n.organization, map[string]any{"status": "suspended"}),
		patch(s.operator, "/api/v1/organizations/"+n.organization, map[string]any{"status": "active"}),
		remove(s.operator, a.path()+"/credentials/"+a.credential),
		remove(s.operator, a.path()),
	}
	for i, step := range steps {
		if _, err := s.do(step); err != nil {
			t.Fatal(err)
		}
		got, err := s.do(tokenRequest(a, ""))
		if err != nil {
			t.Fatal(err)
		}
		state := s.stateThen(t, s.operator, a, "")
		if possible := state.dig("tokens.possible"); possible != (got.status == 200) {
			t.Errorf("step %d: the state says %v, the token endpoint answers %d", i, possible, got.status)
		}
	}
}

func TestTheStateIsLimitedAsVerificationIs(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=1000")
	n := s.tenant(t)
	codes := make([]int, 31)
	for i := range codes {
		path := []string{"/api/v1/audit/verify", "/api/v1/audit/state/" + n.id}[i%2]
		a, err := s.do(get(n.token, path))
		if err != nil {
			t.Fatal(err)
		}
		codes[i] = a.status
	}
	if slices.Index(codes, 429) != 30 {
		t.Errorf("got %v, want the last one alone to be 429", codes)
	}
}
