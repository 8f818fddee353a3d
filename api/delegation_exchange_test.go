package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/internal/rounds"
)

// actorClaim is RFC 8693 section 4.1.
type actorClaim struct {
	Subject string      `json:"sub"`
	Actor   *actorClaim `json:"act"`
}

type exchangedClaims struct {
	Subject    string      `json:"sub"`
	ClientID   string      `json:"client_id"`
	AgentID    string      `json:"agent_id"`
	Scope      string      `json:"scope"`
	IssuedAt   int64       `json:"iat"`
	ExpiresAt  int64       `json:"exp"`
	Delegation string      `json:"delegation"`
	Actor      *actorClaim `json:"act"`
}

func claimsOfExchanged(tb testing.TB, token string) (claims exchangedClaims) {
	tb.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		tb.Fatalf("claims of %s: %v", token, err)
	}
	return claims
}

// exchange gives the access token that a delegation is good for.
func (s *server) exchange(tb testing.TB, actor string, l lent, scope string) string {
	tb.Helper()
	return s.must(tb, exchangeRequest(actor, l.token, scope), 200, "").text("access_token")
}

func TestExchangedTokenActsForTheDelegator(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read audit:read"))
	answer := p.must(t, exchangeRequest(p.ofDelegatee, l.token, ""), 200, "")
	if answer.text("issued_token_type") != "urn:ietf:params:oauth:token-type:access_token" || answer.text("token_type") != "Bearer" ||
		answer.text("scope") != "agents:read audit:read" || answer.number("expires_in") < 3590 || answer.number("expires_in") > 3600 {
		t.Errorf("the answer is %s", answer.body)
	}
	token := answer.text("access_token")
	claims := claimsOfExchanged(t, token)
	if claims.Subject != p.delegator.id || claims.Actor.Subject != p.delegatee.id || claims.Actor.Actor != nil ||
		claims.ClientID != p.delegatee.id || claims.AgentID != p.delegatee.id || claims.Delegation != l.chain ||
		float64(claims.ExpiresAt-claims.IssuedAt) != answer.number("expires_in") {
		t.Errorf("claims %+v", claims)
	}
	p.must(t, get(p.ofDelegatee, "/api/v1/audit"), 403, "INSUFFICIENT_SCOPE")
	p.must(t, get(token, "/api/v1/audit"), 200, "")
	p.must(t, get(token, "/api/v1/agents"), 200, "")

	less := p.must(t, exchangeRequest(p.ofDelegatee, l.token, "audit:read"), 200, "")
	if less.text("scope") != "audit:read" {
		t.Errorf("asked for audit:read, got %s", less.body)
	}
	p.must(t, get(less.text("access_token"), "/api/v1/agents"), 403, "INSUFFICIENT_SCOPE")
	p.must(t, exchangeRequest(p.ofDelegatee, l.token, "tokens:read"), 400, "invalid_scope")
	alias := exchangeRequest(p.ofDelegatee, l.token, "")
	alias.path = "/api/v1/token"
	p.must(t, alias, 200, "")
}

func TestExchangedTokenEndsWithTheDelegation(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	wish := delegationWish(p.delegatee, "agents:read")
	wish["ttlSeconds"] = 60
	l := p.delegate(t, p.ofDelegator, wish)
	answer := p.must(t, exchangeRequest(p.ofDelegatee, l.token, ""), 200, "")
	if life := answer.number("expires_in"); life < 30 || life > 60 {
		t.Errorf("a token for %v s from a delegation for 60 s", life)
	}
}

func TestExchangeThatIsRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	strangers := meet(t, p.scene)
	l := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read"))
	onwardLink := p.delegate(t, p.ofDelegator, onward(p.third, "agents:read", 1))
	revoked := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read"))
	p.must(t, remove(p.ofDelegator, revoked.path()), 204, "")
	foreign := strangers.delegate(t, strangers.ofDelegator, delegationWish(strangers.delegatee, "agents:read"))
	dead := p.token(t, p.delegatee, "")
	p.must(t, request{method: http.MethodPost, path: "/oauth2/revoke", basic: &p.delegatee, form: url.Values{"token": {dead}}}, 200, "")
	elsewhere := tokenRequest(p.delegatee, "")
	elsewhere.form.Set("resource", "https://another.example/api")
	forAnother := p.must(t, elsewhere, 200, "").text("access_token")
	byExchange := p.exchange(t, p.ofThird, onwardLink, "")
	good := func(name, value string) request {
		r := exchangeRequest(p.ofDelegatee, l.token, "")
		if value == "" {
			r.form.Del(name)
		} else {
			r.form.Set(name, value)
		}
		return r
	}
	useless := map[string]request{
		"forged":                    good("subject_token", l.token[:len(l.token)-43]+strings.Repeat("A", 43)),
		"no delegation":             good("subject_token", p.ofDelegator),
		"revoked":                   good("subject_token", revoked.token),
		"of another organization":   good("subject_token", foreign.token),
		"made for somebody else":    good("actor_token", p.ofThird),
		"presented by the lender":   good("actor_token", p.ofDelegator),
		"presented by a stranger":   good("actor_token", strangers.ofDelegatee),
		"presented by the operator": good("actor_token", p.operator),
	}
	first := p.must(t, useless["forged"], 400, "invalid_request")
	for name, r := range useless {
		if got := p.must(t, r, 400, "invalid_request"); string(got.body) != string(first.body) {
			t.Errorf("%s: %s, want the answer that all get: %s", name, got.body, first.body)
		}
	}
	for name, r := range map[string]request{
		"a dead actor token":             good("actor_token", dead),
		"an actor token for elsewhere":   good("actor_token", forAnother),
		"an actor token got by exchange": exchangeRequest(byExchange, onwardLink.token, ""),
		"no actor token at all":          good("actor_token", "hello"),
		"no subject_token":               good("subject_token", ""),
		"no subject_token_type":          good("subject_token_type", ""),
		"no actor_token":                 good("actor_token", ""),
		"no actor_token_type":            good("actor_token_type", ""),
		"another subject_token_type":     good("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
		"another actor_token_type":       good("actor_token_type", "urn:ietf:params:oauth:token-type:jwt"),
		"another requested_token_type":   good("requested_token_type", "urn:ietf:params:oauth:token-type:saml2"),
	} {
		t.Run(name, func(t *testing.T) { p.must(t, r, 400, "invalid_request") })
	}
	p.must(t, good("resource", "nowhere"), 400, "invalid_target")
	p.must(t, good("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"), 200, "")
}

// What is lent is a set of scopes. What the delegatee is to a thing that a
// path names does not count, nor what the delegator is.
func TestLentAuthorityIsScopesAlone(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.must(t, post(p.operator, "/api/v1/organizations/"+p.organization+"/members", map[string]any{"agentId": p.delegatee.id, "role": "admin"}), 201, "")
	l := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read"))
	token := p.exchange(t, p.ofDelegatee, l, "")
	for _, path := range []string{
		p.delegatee.path() + "/credentials", p.delegator.path() + "/credentials", "/api/v1/organizations/" + p.organization,
	} {
		p.must(t, get(token, path), 403, "INSUFFICIENT_SCOPE")
	}
	p.must(t, get(p.ofDelegatee, p.delegatee.path()+"/credentials"), 200, "")
	p.must(t, get(p.ofDelegatee, "/api/v1/organizations/"+p.organization), 200, "")
	p.must(t, remove(token, l.path()), 403, "AUTHORIZATION_ERROR")
	p.must(t, remove(p.ofDelegatee, l.path()), 204, "") // as the admin that it is
}

func TestIntrospectionAndRevocationOfExchangedTokens(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read"))
	token := p.exchange(t, p.ofDelegatee, l, "")
	ask := request{method: http.MethodPost, path: "/oauth2/introspect", token: p.ofDelegator, form: url.Values{"token": {token}}}
	got := p.must(t, ask, 200, "").object()
	act, _ := got["act"].(map[string]any)
	if got["active"] != true || got["sub"] != p.delegator.id || got["client_id"] != p.delegatee.id || act["sub"] != p.delegatee.id || got["delegation"] != l.chain {
		t.Errorf("introspected: %v", got)
	}
	revoke := request{method: http.MethodPost, path: "/oauth2/revoke", basic: &p.delegator, form: url.Values{"token": {token}}}
	p.must(t, revoke, 400, "unauthorized_client") // it was issued to the delegatee
	revoke.basic = &p.delegatee
	p.must(t, revoke, 200, "")
	if got := p.must(t, ask, 200, "").object(); got["active"] != false || len(got) != 1 {
		t.Errorf("introspected after its revocation: %v", got)
	}
	if err := p.mustDie(token); err != nil {
		t.Error(err)
	}
}

// Whatever happens to either agent, or above the delegation, ends its tokens
// at once and on the other node.
func TestWhatEndsAnExchangedToken(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	other := p.another(t, unlimited...)
	status := func(a agent, status string) request {
		return patch(p.operator, a.path(), map[string]any{"status": status})
	}
	for name, test := range map[string]struct {
		end    func(p *pair, l lent) request
		answer int
		again  bool // the delegation itself lives, so that it can be exchanged again
		valid  bool
	}{
		"revocation":                  {func(p *pair, l lent) request { return remove(p.ofDelegator, l.path()) }, 204, false, false},
		"suspension of the delegator": {func(p *pair, _ lent) request { return status(p.delegator, "suspended") }, 200, false, false},
		"suspension of the delegatee": {func(p *pair, _ lent) request { return status(p.delegatee, "suspended") }, 200, false, false},
		"end of the delegator":        {func(p *pair, _ lent) request { return remove(p.operator, p.delegator.path()) }, 204, false, false},
		"end of the delegatee":        {func(p *pair, _ lent) request { return remove(p.operator, p.delegatee.path()) }, 204, false, false},
		"fewer scopes for the delegator": {func(p *pair, _ lent) request {
			return patch(p.operator, p.delegator.path(), map[string]any{"scopes": []string{"agents:read"}})
		}, 200, true, true},
		"fewer scopes for the delegatee": {func(p *pair, _ lent) request {
			return patch(p.operator, p.delegatee.path(), map[string]any{"scopes": []string{}})
		}, 200, true, true},
		"rotation of the actor's secret": {func(p *pair, _ lent) request {
			return post(p.operator, p.delegatee.path()+"/credentials/"+p.delegatee.credential+"/rotate", map[string]any{})
		}, 200, false, true},
		"revocation of the delegator's credential": {func(p *pair, _ lent) request {
			return remove(p.operator, p.delegator.path()+"/credentials/"+p.delegator.credential)
		}, 204, false, false},
		"rotation of the delegator's secret": {func(p *pair, _ lent) request {
			return post(p.operator, p.delegator.path()+"/credentials/"+p.delegator.credential+"/rotate", map[string]any{"delegations": "end"})
		}, 200, false, false},
		"rotation of the delegator's newest": {func(p *pair, _ lent) request {
			return post(p.operator, p.delegator.path()+"/credentials/rotate", map[string]any{})
		}, 200, false, false},
		"suspension of the organization": {func(p *pair, _ lent) request {
			return patch(p.operator, "/api/v1/organizations/"+p.organization, map[string]any{"status": "suspended"})
		}, 200, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := meet(t, p.scene)
			l := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read audit:read"))
			token := p.exchange(t, p.ofDelegatee, l, "")
			other.must(t, get(token, "/api/v1/audit"), 200, "")
			p.must(t, test.end(p, l), test.answer, "")
			for node, s := range map[string]*server{"this": p.server, "the other": other} {
				if err := s.mustDie(token); err != nil {
					t.Errorf("on %s node: %v", node, err)
				}
				if got := s.must(t, verification(p.operator, l.token), 200, "").object()["valid"]; got != test.valid {
					t.Errorf("on %s node the delegation is valid: %v, want %v", node, got, test.valid)
				}
				if !test.again {
					s.must(t, exchangeRequest(p.ofDelegatee, l.token, ""), 400, "invalid_request")
				}
			}
			if !test.again {
				return
			}
			scope := p.must(t, exchangeRequest(p.token(t, p.delegatee, ""), l.token, ""), 200, "").text("scope")
			if want := map[bool]string{true: "agents:read", false: "agents:read audit:read"}[strings.Contains(name, "delegator")]; scope != want {
				t.Errorf("exchanged again for %q, want %q", scope, want)
			}
		})
	}
}

// A suspended agent's delegations rest; its tokens are dead for good.
func TestDelegationRestsWhileAnAgentIsSuspended(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := p.delegate(t, p.ofDelegator, delegationWish(p.delegatee, "agents:read"))
	token := p.exchange(t, p.ofDelegatee, l, "")
	for _, status := range []string{"suspended", "active"} {
		p.must(t, patch(p.operator, p.delegator.path(), map[string]any{"status": status}), 200, "")
		if err := p.mustDie(token); err != nil {
			t.Error(err)
		}
		if got := p.must(t, verification(p.ofThird, l.token), 200, "").object()["valid"]; got != (status == "active") {
			t.Errorf("valid while its delegator is %s: %v", status, got)
		}
	}
	p.must(t, get(p.exchange(t, p.ofDelegatee, l, ""), "/api/v1/agents"), 200, "")
}

func TestChainOfDelegations(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	const depth = 3
	agents := []agent{p.delegator}
	for range depth + 2 {
		agents = append(agents, p.agent(t, p.organization, "agents:read"))
	}
	own := func(i int) string { return p.token(t, agents[i], "") }
	links := []lent{p.delegate(t, p.ofDelegator, onward(agents[1], "agents:read audit:read", depth))}
	tokens := []string{p.exchange(t, own(1), links[0], "")}
	for i := 1; i <= depth; i++ {
		p.must(t, post(tokens[i-1], delegatePath, onward(agents[i+1], "audit:read", depth-i+1)), 400, "VALIDATION_ERROR") // too deep
		longer := onward(agents[i+1], "audit:read", 0)
		longer["ttlSeconds"] = 86_400
		p.must(t, post(tokens[i-1], delegatePath, longer), 400, "VALIDATION_ERROR")
		p.must(t, post(tokens[i-1], delegatePath, delegationWish(agents[i+1], "tokens:read")), 400, "SCOPE_EXCEEDS_DELEGATOR")
		wish := onward(agents[i+1], "audit:read", depth-i)
		wish["ttlSeconds"] = 3600 - 60*i
		made := p.must(t, post(tokens[i-1], delegatePath, wish), 201, "")
		if made.number("depth") != float64(i) || made.text("parentChainId") != links[i-1].chain || made.text("delegatorAgentId") != agents[i].id {
			t.Errorf("link %d is %s", i, made.body)
		}
		links = append(links, lent{made.text("chainId"), made.text("delegationToken")})
		tokens = append(tokens, p.exchange(t, own(i+1), links[i], ""))
	}
	p.must(t, post(tokens[depth], delegatePath, delegationWish(agents[depth+2], "audit:read")), 403, "AUTHORIZATION_ERROR")

	claims := claimsOfExchanged(t, tokens[depth])
	actors := []string{}
	for a := claims.Actor; a != nil; a = a.Actor {
		actors = append(actors, a.Subject)
	}
	if want := []string{agents[4].id, agents[3].id, agents[2].id, agents[1].id}; claims.Subject != p.delegator.id || fmt.Sprint(actors) != fmt.Sprint(want) {
		t.Errorf("sub %s, act %v; want %s, %v", claims.Subject, actors, p.delegator.id, want)
	}
	for i, token := range tokens {
		p.must(t, get(token, "/api/v1/audit"), 200, "")
		if i > 0 && claimsOfExchanged(t, token).ExpiresAt >= claimsOfExchanged(t, tokens[i-1]).ExpiresAt {
			t.Errorf("the token of link %d lives as long as the one above", i)
		}
	}
	// Only who lent it on can revoke a link in the middle; all below it dies.
	p.must(t, remove(own(3), links[1].path()), 403, "AUTHORIZATION_ERROR")
	p.must(t, remove(tokens[0], links[1].path()), 204, "") // with the authority that it was lent
	for i, token := range tokens {
		valid := p.must(t, verification(p.ofThird, links[i].token), 200, "").object()["valid"]
		if valid != (i < 1) {
			t.Errorf("link %d is valid: %v", i, valid)
		}
		if i < 1 {
			p.must(t, get(token, "/api/v1/audit"), 200, "")
		} else if err := p.mustDie(token); err != nil {
			t.Errorf("token %d: %v", i, err)
		}
	}
}

// Not one exchange and not one accepted token after the answer to a revocation.
func TestRevokedDelegationIsDeadOnEveryNode(t *testing.T) {
	t.Parallel()
	tries := rounds.Of(1000)
	p := newPair(t)
	nodes := []*server{p.server, p.another(t, unlimited...)}
	const lanes = 4
	start := time.Now()
	parallel(t, lanes, func(lane int) error {
		for round := lane; round < tries; round += lanes {
			if err := p.revokeAndTry(nodes[round%2], nodes[(round+1)%2]); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
		return nil
	})
	t.Logf("%d rounds in %s", tries, time.Since(start).Round(time.Millisecond))
}

// revokeAndTry revokes on one node, while the other exchanges, and then tries
// everything on the other.
func (p *pair) revokeAndTry(one, other *server) error {
	l, err := one.tryDelegate(p.ofDelegator, delegationWish(p.delegatee, "agents:read"))
	if err != nil {
		return err
	}
	before, err := other.want(exchangeRequest(p.ofDelegatee, l.token, ""), 200, "")
	if err != nil {
		return err
	}
	racing := make(chan answer, 1)
	go func() {
		a, _ := other.do(exchangeRequest(p.ofDelegatee, l.token, ""))
		racing <- a
	}()
	if _, err := one.want(remove(p.ofDelegator, l.path()), 204, ""); err != nil {
		return err
	}
	if _, err := other.want(exchangeRequest(p.ofDelegatee, l.token, ""), 400, "invalid_request"); err != nil {
		return err
	}
	if err := other.mustDie(before.text("access_token")); err != nil {
		return err
	}
	if raced := <-racing; raced.status == 200 {
		return other.mustDie(raced.text("access_token"))
	}
	return nil
}
