package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// The clocks of two nodes are 5 s apart: what one of them issues the other
// takes, at once and for everything.
func TestNodesWithOtherClocksTakeEachOthersTokens(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, nil)
	a, delegatee := s.agent(t, organization, "agents:read tokens:read"), s.agent(t, organization, "agents:read")
	const apart = 5 * time.Second
	ahead := newServer(t, s.world.ServeAt(t, func() time.Time { return time.Now().Add(apart) }))
	for name, nodes := range map[string][2]*server{"issued by the node ahead": {ahead, s.server}, "issued by the node behind": {s.server, ahead}} {
		issuer, other := nodes[0], nodes[1]
		token := issuer.token(t, a, "")
		if _, err := other.want(get(token, "/api/v1/agents"), 200, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if about := other.introspect(t, a, token); about.object()["active"] != true {
			t.Errorf("%s: introspection %s", name, about.body)
		}
		lent := issuer.must(t, post(token, "/oauth2/token/delegate", map[string]any{
			"delegateeAgentId": delegatee.id, "scopes": []string{"agents:read"}, "ttlSeconds": 60}), 201, "")
		exchanged := other.must(t, exchangeRequest(issuer.token(t, delegatee, ""), lent.text("delegationToken"), ""), 200, "").text("access_token")
		if _, err := issuer.want(get(exchanged, "/api/v1/agents"), 200, ""); err != nil {
			t.Errorf("%s: exchanged at the other: %v", name, err)
		}
		issuer.must(t, request{method: http.MethodPost, path: "/oauth2/revoke", basic: &a, form: url.Values{"token": {token}}}, 200, "")
		if err := other.mustDie(token); err != nil {
			t.Errorf("%s: revoked: %v", name, err)
		}
	}
}

// A client's clock may be a minute off, and its assertions may live an hour.
// One used at a node whose clock is ahead works at no other.
func TestAssertionsOfClientsWithOtherClocks(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	k := s.keyAgent(t, s.organization(t, nil), jwt.SigningMethodES256)
	behind := newServer(t, s.world.ServeAt(t, func() time.Time { return time.Now().Add(-5 * time.Second) }))
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for name, changes := range map[string]map[string]any{
		"a clock ahead":           {"iat": at(50 * time.Second), "nbf": at(50 * time.Second), "exp": at(110 * time.Second)},
		"a clock behind":          {"iat": at(-100 * time.Second), "exp": at(-40 * time.Second)},
		"an hour":                 {"exp": at(time.Hour)},
		"an hour, by a clock off": {"iat": at(30 * time.Second), "exp": at(time.Hour + 30*time.Second)},
		"no iat":                  {"iat": nil},
		"fractions":               {"iat": float64(at(0)) + 0.5, "exp": float64(at(time.Minute)) + 0.25},
		"a list of one":           {"aud": []string{s.base}},
	} {
		signed := k.sign(t, changed(k.claims(s.base), changes))
		if _, err := s.want(byAssertion(signed), 200, ""); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, node := range []*server{s.server, behind} {
			if answer, err := node.want(byAssertion(signed), 401, "invalid_client"); err != nil || answer.text("error_description") != "client authentication failed" {
				t.Errorf("%s: used again: %s, %v", name, answer.body, err)
			}
		}
	}
}

// What a client can see in its own assertion it is told; about keys and
// agents it is not.
func TestRefusedAssertionsSayWhatIsWrongWithThem(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	k := s.keyAgent(t, s.organization(t, nil), jwt.SigningMethodES256)
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, test := range []struct {
		changes map[string]any
		says    string
	}{
		{map[string]any{"jti": nil}, "jti"},
		{map[string]any{"exp": at(2 * time.Hour)}, "at most an hour"},
		{map[string]any{"exp": at(-2 * time.Minute)}, "expired"},
		{map[string]any{"exp": nil}, "needs an exp"},
		{map[string]any{"exp": "soon"}, "number"},
		{map[string]any{"exp": 1e300}, "number"},
		{map[string]any{"iat": at(2 * time.Minute)}, "iat"},
		{map[string]any{"nbf": at(2 * time.Minute)}, "nbf"},
		{map[string]any{"aud": "https://elsewhere.example"}, s.base + "/oauth2/token"},
		{map[string]any{"aud": []string{s.base, s.base + "/oauth2/token"}}, "nothing else"},
		{map[string]any{"iss": "someone"}, "iss and sub"},
		{map[string]any{"sub": nil, "Sub": k.id}, "iss and sub"},
	} {
		said := s.must(t, byAssertion(k.sign(t, changed(k.claims(s.base), test.changes))), 401, "invalid_client").text("error_description")
		if !strings.Contains(said, test.says) {
			t.Errorf("%v: %q, want it to tell of %q", test.changes, said, test.says)
		}
	}
	for name, stranger := range map[string]string{"another key": k.id, "nobody": uuid.NewString()} {
		other, _ := newKey(t, jwt.SigningMethodES256)
		forged := keyAgent{agent{id: stranger}, k.method, other}
		if said := s.must(t, byAssertion(forged.sign(t, forged.claims(s.base))), 401, "invalid_client").text("error_description"); said != "client authentication failed" {
			t.Errorf("%s: %q", name, said)
		}
	}
}
