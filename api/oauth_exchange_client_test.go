package api_test

import (
	"strings"
	"testing"
)

// loan is a delegation and the two agents it is between.
type loan struct {
	delegator, delegatee agent
	ofDelegatee          string // a token of its own
	delegation           string // the delegation token
}

func newLoan(tb testing.TB, s *scene) loan {
	tb.Helper()
	organization := s.organization(tb, nil)
	p := loan{delegator: s.agent(tb, organization, "agents:read audit:read"), delegatee: s.agent(tb, organization, "agents:read")}
	p.ofDelegatee = s.token(tb, p.delegatee, "")
	p.delegation = s.must(tb, post(s.token(tb, p.delegator, ""), "/oauth2/token/delegate", map[string]any{
		"delegateeAgentId": p.delegatee.id, "scopes": []string{"agents:read"}, "ttlSeconds": 3600}), 201, "").text("delegationToken")
	return p
}

// byClient is an exchange without an actor token.
func (p loan) byClient(a *agent) request {
	r := exchangeRequest("", p.delegation, "")
	r.form.Del("actor_token")
	r.form.Del("actor_token_type")
	r.basic = a
	return r
}

// RFC 8693 section 2.1: the actor token is optional. A delegatee that has a
// secret is known by it, and its token lives and dies as any other.
func TestDelegateeExchangesByItsOwnAuthentication(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := newLoan(t, s)
	token := s.must(t, p.byClient(&p.delegatee), 200, "").text("access_token")
	var claims struct {
		Subject string `json:"sub"`
		AgentID string `json:"agent_id"`
		Actor   struct {
			Subject string `json:"sub"`
		} `json:"act"`
	}
	part(t, token, 1, &claims)
	if claims.Subject != p.delegator.id || claims.AgentID != p.delegatee.id || claims.Actor.Subject != p.delegatee.id {
		t.Errorf("claims %+v, want %s acting for %s", claims, p.delegatee.id, p.delegator.id)
	}
	s.must(t, get(token, "/api/v1/agents"), 200, "")
	inForm := p.byClient(nil)
	inForm.form.Set("client_id", p.delegatee.id)
	inForm.form.Set("client_secret", p.delegatee.secret)
	s.must(t, inForm, 200, "")
	s.must(t, p.byClient(&p.delegator), 400, "invalid_request") // it was not made for that one
	s.must(t, p.byClient(nil), 400, "invalid_request")
	s.must(t, post(s.operator, p.delegatee.path()+"/credentials/"+p.delegatee.credential+"/rotate", map[string]any{}), 200, "")
	if err := s.mustDie(token); err != nil {
		t.Errorf("after the credential was rotated: %v", err)
	}
	s.must(t, p.byClient(&p.delegatee), 401, "invalid_client")
}

// Credentials that are sent are looked at, needed or not.
func TestExchangeChecksTheClientThatPresentsItself(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := newLoan(t, s)
	other := s.agent(t, p.delegatee.organization, "agents:read")
	with := func(a agent) request {
		r := exchangeRequest(p.ofDelegatee, p.delegation, "")
		r.basic = &a
		return r
	}
	s.must(t, with(p.delegatee), 200, "")
	wrong := with(agent{id: p.delegatee.id, secret: "sk_live_wrong"})
	if answer := s.must(t, wrong, 401, "invalid_client"); !strings.HasPrefix(answer.header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("challenge %q", answer.header.Get("WWW-Authenticate"))
	}
	s.must(t, with(other), 400, "invalid_request")
	s.must(t, exchangeRequest(p.ofDelegatee, p.delegation, "").with("Authorization", "Basic nonsense"), 401, "invalid_client")
	assertion := exchangeRequest(p.ofDelegatee, p.delegation, "")
	assertion.form.Set("client_assertion", "nonsense")
	assertion.form.Set("client_assertion_type", assertionType)
	s.must(t, assertion, 401, "invalid_client")
	auditor := s.token(t, s.agent(t, p.delegatee.organization, "audit:read"), "")
	events := s.must(t, get(auditor, "/api/v1/audit?action=auth.failed&agentId="+p.delegatee.id), 200, "").list("data")
	if len(events) != 1 {
		t.Errorf("%d failures on record, want that of the wrong secret: %v", len(events), events)
	}
}

// What is not known here is named before what is missing.
func TestExchangeNamesTheTypeThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := newLoan(t, s)
	for parameter, value := range map[string]string{
		"subject_token_type":   "urn:ietf:params:oauth:token-type:access_token",
		"requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
	} {
		r := p.byClient(nil)
		r.form.Set(parameter, value)
		if said := s.must(t, r, 400, "invalid_request").text("error_description"); !strings.Contains(said, parameter) {
			t.Errorf("%s: %q", parameter, said)
		}
	}
}

// RFC 7662 section 4: without tokens:read a client learns of its own tokens alone.
func TestIntrospectionByAClientNeedsItsScope(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := newLoan(t, s)
	if about := s.introspect(t, p.delegatee, p.ofDelegatee); about.object()["active"] != true {
		t.Errorf("its own: %s", about.body)
	}
	if about := s.introspect(t, p.delegator, p.ofDelegatee); string(about.body) != `{"active":false}` {
		t.Errorf("another's: %s", about.body)
	}
	asker := s.agent(t, p.delegatee.organization, "tokens:read")
	if about := s.introspect(t, asker, p.ofDelegatee); about.object()["active"] != true {
		t.Errorf("with tokens:read: %s", about.body)
	}
}

// Generated clients send null where a body is left out.
func TestNullIsNoBody(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	for _, body := range []string{"null", " null\n", ""} {
		r := request{method: "POST", path: a.path() + "/credentials", token: s.operator, raw: strings.NewReader(body)}.with("Content-Type", "application/json")
		s.must(t, r, 201, "")
	}
	r := request{method: "POST", path: "/api/v1/agents", token: s.operator, raw: strings.NewReader("null")}.with("Content-Type", "application/json")
	s.must(t, r, 400, "VALIDATION_ERROR")
}

// A library that tries the same wrong secret by the other method, or once more,
// does not halve the tries that its user has. Another secret is another failure.
func TestOneFailureIsOneFailure(t *testing.T) {
	t.Parallel()
	s := newScene(t, "RATE_LIMIT_MAX_REQUESTS=1000")
	second := s.another(t)
	a := s.agent(t, s.organization(t, nil), "agents:read audit:read")
	one := s.agent(t, a.organization, "agents:read")
	for range 2 {
		s.must(t, tokenForm("grant_type", grant, "client_id", one.id, "client_secret", "sk_live_x"), 401, "invalid_client")
	}
	auditor := s.agent(t, a.organization, "audit:read")
	events := s.must(t, get(s.token(t, auditor, ""), "/api/v1/audit?action=auth.failed&agentId="+one.id), 200, "").list("data")
	if len(events) != 1 {
		t.Errorf("%d records of one failure: %v", len(events), events)
	}
	const tries = 10
	for i := range tries {
		wrong := wrongSecret(a)
		inForm := tokenForm("grant_type", grant, "client_id", a.id, "client_secret", wrong.basic.secret)
		s.must(t, wrong, 401, "invalid_client")
		if i == tries-1 {
			break
		}
		[]*server{s.server, second}[i%2].must(t, []request{inForm, wrong}[i%2], 401, "invalid_client")
	}
	s.must(t, wrongSecret(a), 429, "temporarily_unavailable")
}
