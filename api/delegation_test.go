package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	delegatePath = "/oauth2/token/delegate"
	verifyPath   = "/oauth2/token/verify-delegation"
)

// delegationWish asks to lend scopes to an agent for an hour.
func delegationWish(to agent, scopes string) map[string]any {
	return map[string]any{"delegateeAgentId": to.id, "scopes": strings.Fields(scopes), "ttlSeconds": 3600}
}

// onward is a wish that may be lent on.
func onward(to agent, scopes string, depth int) map[string]any {
	wish := delegationWish(to, scopes)
	wish["maxDepth"] = depth
	return wish
}

// lent is a delegation as its creation showed it.
type lent struct{ chain, token string }

func (l lent) path() string { return delegatePath + "/" + l.chain }

func (s *server) delegate(tb testing.TB, token string, wish map[string]any) lent {
	tb.Helper()
	l, err := s.tryDelegate(token, wish)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func (s *server) tryDelegate(token string, wish map[string]any) (lent, error) {
	made, err := s.want(post(token, delegatePath, wish), 201, "")
	return lent{chain: made.text("chainId"), token: made.text("delegationToken")}, err
}

func verification(bearer, token string) request {
	return post(bearer, verifyPath, map[string]any{"delegationToken": token})
}

// pair is a delegator, a delegatee and a third agent of one organization, with
// tokens of their own.
type pair struct {
	*scene
	organization                      string
	delegator, delegatee, third       agent
	ofDelegator, ofDelegatee, ofThird string
}

const pairScopes = "agents:read audit:read tokens:read"

func newPair(tb testing.TB, settings ...string) *pair {
	tb.Helper()
	return meet(tb, newScene(tb, append(unlimited, settings...)...))
}

// meet puts three agents into an organization of their own.
func meet(tb testing.TB, s *scene) *pair {
	tb.Helper()
	p := &pair{scene: s, organization: s.organization(tb, nil)}
	p.delegator = s.agent(tb, p.organization, pairScopes)
	p.delegatee = s.agent(tb, p.organization, "agents:read")
	p.third = s.agent(tb, p.organization, "agents:read")
	p.ofDelegator, p.ofDelegatee, p.ofThird = s.token(tb, p.delegator, ""), s.token(tb, p.delegatee, ""), s.token(tb, p.third, "")
	return p
}

func TestCreateDelegation(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for _, base := range []string{"", "/api/v1"} {
		wish := onward(p.delegatee, "audit:read agents:read", 2)
		made := p.must(t, post(p.ofDelegator, base+delegatePath, wish), 201, "")
		got := made.object()
		for field, want := range map[string]any{
			"tenantId": p.organization, "delegatorAgentId": p.delegator.id, "delegateeAgentId": p.delegatee.id,
			"ttlSeconds": 3600.0, "maxDepth": 2.0, "depth": 0.0, "parentChainId": nil, "revokedAt": nil,
		} {
			if got[field] != want {
				t.Errorf("%s is %v, want %v", field, got[field], want)
			}
		}
		if scopes := fmt.Sprint(got["scopes"]); scopes != "[agents:read audit:read]" {
			t.Errorf("scopes are %s", scopes)
		}
		token, signature := made.text("delegationToken"), made.text("signature")
		if !strings.HasPrefix(token, "sa_del_") || !strings.HasSuffix(token, "."+signature) || signature == "" {
			t.Errorf("token %q, signature %q", token, signature)
		}
		issued, err := time.Parse(time.RFC3339, made.text("issuedAt"))
		expires, err2 := time.Parse(time.RFC3339, made.text("expiresAt"))
		if err != nil || err2 != nil || expires.Sub(issued) != time.Hour || time.Since(issued).Abs() > time.Minute {
			t.Errorf("issued %v, expires %v: not an hour from now", made.text("issuedAt"), made.text("expiresAt"))
		}
	}
}

func TestDelegationThatIsRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	elsewhere := p.agent(t, p.scene.organization(t, nil), "agents:read")
	asleep, gone := p.agent(t, p.organization, ""), p.agent(t, p.organization, "")
	p.must(t, patch(p.operator, asleep.path(), map[string]any{"status": "suspended"}), 200, "")
	p.must(t, remove(p.operator, gone.path()), 204, "")
	nobody := agent{id: "019a3f5e-0000-7000-8000-000000000000"}
	with := func(field string, value any) map[string]any {
		wish := delegationWish(p.delegatee, "agents:read")
		wish[field] = value
		if value == nil {
			delete(wish, field)
		}
		return wish
	}
	for name, test := range map[string]struct {
		token  string
		wish   map[string]any
		status int
		code   string
	}{
		"no token":                    {"", delegationWish(p.delegatee, "agents:read"), 401, "UNAUTHORIZED"},
		"a scope not held":            {p.ofDelegator, delegationWish(p.delegatee, "agents:read agents:write"), 400, "SCOPE_EXCEEDS_DELEGATOR"},
		"a scope its token lacks":     {p.token(t, p.delegator, "agents:read"), delegationWish(p.delegatee, "audit:read"), 400, "SCOPE_EXCEEDS_DELEGATOR"},
		"a scope that is none":        {p.ofDelegator, delegationWish(p.delegatee, "agents:fly"), 400, "VALIDATION_ERROR"},
		"no scope":                    {p.ofDelegator, delegationWish(p.delegatee, ""), 400, "VALIDATION_ERROR"},
		"no scopes":                   {p.ofDelegator, with("scopes", nil), 400, "VALIDATION_ERROR"},
		"no delegatee":                {p.ofDelegator, with("delegateeAgentId", nil), 400, "VALIDATION_ERROR"},
		"a delegatee that is no id":   {p.ofDelegator, with("delegateeAgentId", "you"), 400, "VALIDATION_ERROR"},
		"no ttl":                      {p.ofDelegator, with("ttlSeconds", nil), 400, "VALIDATION_ERROR"},
		"59 seconds":                  {p.ofDelegator, with("ttlSeconds", 59), 400, "VALIDATION_ERROR"},
		"86401 seconds":               {p.ofDelegator, with("ttlSeconds", 86_401), 400, "VALIDATION_ERROR"},
		"a depth of 4":                {p.ofDelegator, with("maxDepth", 4), 400, "VALIDATION_ERROR"},
		"an unknown field":            {p.ofDelegator, with("forever", true), 400, "VALIDATION_ERROR"},
		"to oneself":                  {p.ofDelegator, delegationWish(p.delegator, "agents:read"), 400, "VALIDATION_ERROR"},
		"to another organization":     {p.ofDelegator, delegationWish(elsewhere, "agents:read"), 400, "CROSS_TENANT_DELEGATION"},
		"by the operator to a tenant": {p.operator, delegationWish(p.delegatee, "agents:read"), 400, "CROSS_TENANT_DELEGATION"},
		"to nobody":                   {p.ofDelegator, delegationWish(nobody, "agents:read"), 400, "CROSS_TENANT_DELEGATION"},
		"to one suspended":            {p.ofDelegator, delegationWish(asleep, "agents:read"), 403, "AGENT_SUSPENDED"},
		"to one decommissioned":       {p.ofDelegator, delegationWish(gone, "agents:read"), 403, "AGENT_DECOMMISSIONED"},
	} {
		t.Run(name, func(t *testing.T) {
			p.must(t, post(test.token, delegatePath, test.wish), test.status, test.code)
		})
	}
	refused := p.must(t, post(p.ofDelegator, delegatePath, delegationWish(p.delegatee, "agents:read agents:write")), 400, "")
	details, _ := refused.object()["details"].(map[string]any)
	if fmt.Sprint(details["requested"]) != "[agents:read agents:write]" || fmt.Sprint(details["available"]) != "[agents:read audit:read tokens:read]" {
		t.Errorf("details %v, want what was requested and what is available", details)
	}
	system := p.must(t, post(p.operator, "/api/v1/agents", newAgentBody("", "agents:read")), 201, "").text("agentId")
	p.must(t, post(p.operator, delegatePath, delegationWish(agent{id: system}, "agents:read admin:orgs")), 403, "SCOPE_NOT_ALLOWED")
}

func TestDelegationIsMadeOncePerIdempotencyKey(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	wish := post(p.ofDelegator, delegatePath, delegationWish(p.delegatee, "agents:read")).with("Idempotency-Key", "k-1")
	first, again := p.must(t, wish, 201, ""), p.must(t, wish, 201, "")
	if string(first.body) != string(again.body) || first.text("delegationToken") == "" {
		t.Errorf("answers differ:\n%s\n%s", first.body, again.body)
	}
	other := post(p.ofDelegator, delegatePath, delegationWish(p.third, "agents:read")).with("Idempotency-Key", "k-1")
	p.must(t, other, 422, "IDEMPOTENCY_KEY_REUSED")
}

// The token of a delegation is a secret: another credential of the same agent does
// not get it out of a kept answer.
func TestAKeptDelegationIsForTheSameCredentialOnly(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	wish := post(p.ofDelegator, delegatePath, delegationWish(p.delegatee, "agents:read")).with(keyHeader, unique())
	p.must(t, wish, 201, "")
	_, secret, err := p.newCredential(p.operator, p.delegator)
	if err != nil {
		t.Fatal(err)
	}
	other := p.delegator
	other.secret = secret
	wish.token = p.token(t, other, "")
	p.must(t, wish, 422, "IDEMPOTENCY_KEY_REUSED")
}

func TestVerifyDelegation(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	strangers := meet(t, p.scene)
	good := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read"))
	revoked := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read"))
	p.must(t, remove(p.ofDelegator, revoked.path()), 204, "")
	foreign := strangers.delegate(t, strangers.ofDelegator, delegationWish(strangers.delegatee, "agents:read"))
	elsewhere := newPair(t) // another world: another key
	byAnotherKey := elsewhere.delegate(t, elsewhere.ofDelegator, delegationWish(elsewhere.delegatee, "agents:read"))

	for _, bearer := range []string{p.ofDelegator, p.ofDelegatee, p.ofThird, p.operator} {
		for _, base := range []string{"", "/api/v1"} {
			r := verification(bearer, good.token)
			r.path = base + r.path
			got := p.must(t, r, 200, "").object()
			if got["valid"] != true || got["chainId"] != good.chain || got["delegatorAgentId"] != p.delegator.id ||
				got["delegateeAgentId"] != p.delegatee.id || fmt.Sprint(got["scopes"]) != "[agents:read]" || got["revokedAt"] != nil {
				t.Errorf("a good token: %v", got)
			}
		}
	}
	if got := p.must(t, verification(p.ofThird, revoked.token), 200, "").object(); got["valid"] != false || got["revokedAt"] == nil || got["chainId"] != revoked.chain {
		t.Errorf("a revoked token: %v", got)
	}
	nothing := p.must(t, verification(p.ofThird, "sa_del_x.y"), 200, "")
	for name, token := range map[string]string{
		"of another organization": foreign.token, "by another key": byAnotherKey.token, "no token at all": "hello",
		"a chain id": good.chain, "an access token": p.ofDelegator,
		"signature of another": good.token[:strings.Index(good.token, ".")] + revoked.token[strings.Index(revoked.token, "."):],
	} {
		if len(token) > 512 {
			p.must(t, verification(p.ofThird, token), 400, "VALIDATION_ERROR")
			continue
		}
		if got := p.must(t, verification(p.ofThird, token), 200, ""); string(got.body) != string(nothing.body) || got.object()["valid"] != false {
			t.Errorf("%s: %s, want the answer that all get: %s", name, got.body, nothing.body)
		}
	}
	p.must(t, post(p.ofThird, verifyPath, map[string]any{}), 400, "VALIDATION_ERROR")
	p.must(t, post(p.ofThird, verifyPath, map[string]any{"delegationToken": 7}), 400, "VALIDATION_ERROR")
	p.must(t, post(p.ofThird, verifyPath, map[string]any{"delegationToken": ""}), 400, "VALIDATION_ERROR")
	p.must(t, verification("", good.token), 401, "UNAUTHORIZED")
}

// Every bit that can be flipped in text is.
func TestTamperedDelegationTokenIsNotValid(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	good := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read"))
	var tampered []string
	for bit := range len(good.token) * 8 {
		changed := []byte(good.token)
		if changed[bit/8] ^= 1 << (bit % 8); changed[bit/8] >= 0x20 && changed[bit/8] < 0x7f {
			tampered = append(tampered, string(changed))
		}
	}
	if len(tampered) < 4*len(good.token) {
		t.Fatalf("only %d ways to tamper with %s", len(tampered), good.token)
	}
	nothing := p.must(t, verification(p.ofThird, "sa_del_x.y"), 200, "")
	for _, token := range tampered {
		if got := p.must(t, verification(p.ofThird, token), 200, ""); string(got.body) != string(nothing.body) {
			t.Errorf("%s: %s", token, got.body)
		}
	}
	for _, token := range tampered[:20] {
		p.must(t, exchangeRequest(p.ofDelegatee, token, ""), 400, "invalid_request")
	}
	if p.must(t, verification(p.ofThird, good.token), 200, "").object()["valid"] != true {
		t.Error("the token itself is not valid")
	}
}

func TestWhoMayRevokeADelegation(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	strangers := meet(t, p.scene)
	p.must(t, post(p.operator, "/api/v1/organizations/"+p.organization+"/members", map[string]any{"agentId": p.third.id, "role": "admin"}), 201, "")
	for name, test := range map[string]struct {
		token  string
		status int
		code   string
	}{
		"the delegator": {p.ofDelegator, 204, ""},
		"an admin":      {p.ofThird, 204, ""},
		"the operator":  {p.operator, 204, ""},
		"the delegatee": {p.ofDelegatee, 403, "AUTHORIZATION_ERROR"},
		"a stranger":    {strangers.ofDelegator, 403, "AUTHORIZATION_ERROR"},
		"nobody":        {"", 401, "UNAUTHORIZED"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, base := range []string{"", "/api/v1"} {
				l := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read"))
				for range 2 { // the second time nothing is left to do
					p.must(t, remove(test.token, base+l.path()), test.status, test.code)
				}
				valid := p.must(t, verification(p.ofDelegator, l.token), 200, "").object()["valid"]
				if valid != (test.status != 204) {
					t.Errorf("valid afterwards: %v", valid)
				}
			}
		})
	}
	p.must(t, remove(p.ofDelegator, delegatePath+"/019a3f5e-0000-7000-8000-000000000000"), 403, "AUTHORIZATION_ERROR")
	p.must(t, remove(p.ofDelegator, delegatePath+"/mine"), 400, "VALIDATION_ERROR")
}

func TestDelegationIsAuditedAndCounted(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read"))
	p.must(t, exchangeRequest(p.ofDelegatee, l.token, ""), 200, "")
	p.must(t, verification(p.ofThird, l.token), 200, "")
	p.must(t, remove(p.ofDelegator, l.path()), 204, "")
	trail := p.must(t, get(p.operator, "/api/v1/audit?organizationId="+p.organization+"&agentId="+p.delegator.id), 200, "").list("data")
	if actions := texts(trail, "action"); !slices.Equal(actions[:2], []string{"delegation.revoked", "delegation.created"}) {
		t.Errorf("the delegator's trail is %v", actions)
	}
	trail = p.must(t, get(p.operator, "/api/v1/audit?organizationId="+p.organization+"&action=token.issued&limit=1"), 200, "").list("data")
	metadata, _ := trail[0]["metadata"].(map[string]any)
	actor, _ := trail[0]["actor"].(map[string]any)
	if trail[0]["stream"] != "delegation-"+l.chain || trail[0]["agentId"] != p.delegatee.id || actor["id"] != p.delegatee.id ||
		metadata["delegation"] != l.chain || metadata["subject"] != p.delegator.id {
		t.Errorf("the issuance is on record as %v", trail[0])
	}
	metrics := string(p.must(t, get("", "/metrics"), 200, "").body)
	for _, line := range []string{"agentidp_delegations_created_total 1", "agentidp_delegations_verified_total 1", "agentidp_delegations_revoked_total 1"} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("the metrics lack %q", line)
		}
	}
}

func TestDelegationCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read"))
	off := p.another(t, "A2A_ENABLED=false")
	for _, base := range []string{"", "/api/v1"} {
		off.must(t, post(p.ofDelegator, base+delegatePath, delegationWish(p.delegatee, "agents:read")), 404, "NOT_FOUND")
		off.must(t, post(p.ofDelegator, base+verifyPath, map[string]any{"delegationToken": l.token}), 404, "NOT_FOUND")
		off.must(t, remove(p.ofDelegator, base+l.path()), 404, "NOT_FOUND")
	}
	off.must(t, exchangeRequest(p.ofDelegatee, l.token, ""), 400, "unsupported_grant_type")
	for s, want := range map[*server]bool{p.server: true, off: false} {
		grants := fmt.Sprint(s.must(t, get("", "/.well-known/oauth-authorization-server"), 200, "").object()["grant_types_supported"])
		if strings.Contains(grants, "token-exchange") != want {
			t.Errorf("grants %s, want token exchange among them: %v", grants, want)
		}
	}
}

// exchangeRequest asks for a token by exchange; an empty scope is left out.
func exchangeRequest(actor, delegation, scope string) request {
	form := url.Values{
		"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token": {delegation}, "subject_token_type": {"urn:sentryagent:params:oauth:token-type:delegation"},
		"actor_token": {actor}, "actor_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	}
	if scope != "" {
		form.Set("scope", scope)
	}
	return request{method: http.MethodPost, path: "/oauth2/token", form: form}
}

// unlimited is the setting of tests that send more requests than a client may.
var unlimited = []string{"RATE_LIMIT_MAX_REQUESTS=0"}

func TestTheListOfDelegationsHasAnotherName(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	moved := s.must(t, get("", "/api/v1/delegation?role=delegator&page=2"), 308, "")
	if to := moved.header.Get("Location"); to != "/api/v1/delegations?role=delegator&page=2" {
		t.Errorf("it is at %q", to)
	}
	s.must(t, get(n.token, moved.header.Get("Location")), 200, "")
}
