package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/sentryagent/agentidp/server/servertest"
)

func tokenForm(pairs ...string) request {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return request{method: http.MethodPost, path: "/oauth2/token", form: form}
}

const grant = "client_credentials"

func TestClientSecretWorksInTheHeaderAndInTheForm(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	for name, style := range map[string]oauth2.AuthStyle{"client_secret_basic": oauth2.AuthStyleInHeader, "client_secret_post": oauth2.AuthStyleInParams} {
		client := clientcredentials.Config{ClientID: a.id, ClientSecret: a.secret, TokenURL: s.base + "/oauth2/token", AuthStyle: style, Scopes: []string{"agents:read"}}
		token, err := client.Token(s.foreign(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s.must(t, get(token.AccessToken, "/api/v1/agents"), 200, "")
	}
}

// wrongClients are requests by somebody who is not the client.
func wrongClients(a, other agent) map[string]request {
	return map[string]request{
		"wrong secret":            tokenRequest(agent{id: a.id, secret: a.secret + "x"}, ""),
		"another's secret":        tokenRequest(agent{id: a.id, secret: other.secret}, ""),
		"empty secret":            tokenRequest(agent{id: a.id}, ""),
		"unknown client":          tokenRequest(agent{id: uuid.NewString(), secret: a.secret}, ""),
		"client id no UUID":       tokenRequest(agent{id: "admin", secret: a.secret}, ""),
		"broken escape":           tokenRequest(agent{id: a.id, secret: "%zz"}, ""),
		"in the form":             tokenForm("grant_type", grant, "client_id", a.id, "client_secret", other.secret),
		"secret alone":            tokenForm("grant_type", grant, "client_secret", a.secret),
		"Basic that is no base64": tokenForm("grant_type", grant).with("Authorization", "Basic !!!"),
	}
}

// Whoever the client is not: the same answer, and a challenge only for those who tried Basic.
func TestInvalidClientSaysNothingMore(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, nil)
	a, other := s.agent(t, organization, "agents:read"), s.agent(t, organization, "agents:read")
	var body string
	for name, r := range map[string]request{
		"no client":             tokenForm("grant_type", grant),
		"no secret in the form": tokenForm("grant_type", grant, "client_id", a.id),
		"a bearer token":        tokenForm("grant_type", grant).with("Authorization", "Bearer "+a.secret),
	} {
		if answer, err := s.want(r, 401, "invalid_client"); err != nil || !strings.Contains(answer.text("error_description"), "HTTP Basic") ||
			answer.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %s is no help, or a challenge (%v)", name, answer.body, err)
		}
	}
	for name, r := range wrongClients(a, other) {
		answer, err := s.want(r, 401, "invalid_client")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if body == "" {
			body = string(answer.body)
		}
		if string(answer.body) != body {
			t.Errorf("%s: %s, others got %s", name, answer.body, body)
		}
		tried := r.basic != nil || strings.HasPrefix(r.header.Get("Authorization"), "Basic ")
		if challenge := answer.header.Get("WWW-Authenticate"); strings.HasPrefix(challenge, "Basic ") != tried || !tried && challenge != "" {
			t.Errorf("%s: WWW-Authenticate %q", name, challenge)
		}
	}
}

func TestMalformedTokenRequests(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	with := func(pairs ...string) request {
		r := tokenForm(pairs...)
		r.basic = &a
		return r
	}
	asJSON := post("", "/oauth2/token", map[string]string{"grant_type": grant})
	asJSON.basic = &a
	before := s.head(t)
	for name, test := range map[string]struct {
		request
		code string
	}{
		"JSON":                        {asJSON, "invalid_request"},
		"no grant type":               {with("scope", "agents:read"), "invalid_request"},
		"empty grant type":            {with("grant_type", ""), "invalid_request"},
		"password grant":              {with("grant_type", "password"), "unsupported_grant_type"},
		"code grant":                  {with("grant_type", "authorization_code", "code", "x"), "unsupported_grant_type"},
		"grant type twice":            {with("grant_type", grant, "grant_type", grant), "invalid_request"},
		"header and form":             {with("grant_type", grant, "client_id", a.id, "client_secret", a.secret), "invalid_request"},
		"header and assertion":        {with("grant_type", grant, "client_assertion_type", assertionType, "client_assertion", "x"), "invalid_request"},
		"form and assertion":          {tokenForm("grant_type", grant, "client_id", a.id, "client_secret", a.secret, "client_assertion", "x"), "invalid_request"},
		"another id in the form":      {with("grant_type", grant, "client_id", uuid.NewString()), "invalid_request"},
		"assertion of another type":   {tokenForm("grant_type", grant, "client_assertion_type", "saml", "client_assertion", "x"), "invalid_request"},
		"assertion without a type":    {tokenForm("grant_type", grant, "client_assertion", "x"), "invalid_request"},
		"relative resource":           {with("grant_type", grant, "resource", "/api"), "invalid_target"},
		"resource with a fragment":    {with("grant_type", grant, "resource", "https://a.example/#x"), "invalid_target"},
		"resource without a host":     {with("grant_type", grant, "resource", "urn:x"), "invalid_target"},
		"two resources":               {with("grant_type", grant, "resource", "https://a.example", "resource", "https://b.example"), "invalid_target"},
		"scope that is not allowed":   {with("grant_type", grant, "scope", "admin:orgs"), "invalid_scope"},
		"scope with a quotation mark": {with("grant_type", grant, "scope", `a"b\`), "invalid_scope"},
	} {
		if _, err := s.want(test.request, 400, test.code); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := s.head(t); after != before {
		t.Errorf("the ledger went from %v to %v", before, after)
	}
}

func TestResourceBecomesTheAudience(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	const resource = "https://api.elsewhere.example/v1"
	r := tokenRequest(a, "")
	r.form.Set("resource", resource)
	token := s.must(t, r, 200, "").text("access_token")
	var claims accessClaims
	part(t, token, 1, &claims)
	if claims.Audience != resource {
		t.Errorf("aud %q, want %q", claims.Audience, resource)
	}
	if err := s.mustDie(token); err != nil {
		t.Errorf("a token for elsewhere opens this API: %v", err)
	}
	if about := s.introspect(t, a, token); about.object()["active"] != true || about.text("aud") != resource {
		t.Errorf("introspection %s, want it active", about.body)
	}
	r.form.Set("resource", s.base)
	s.must(t, get(s.must(t, r, 200, "").text("access_token"), "/api/v1/agents"), 200, "")
}

func TestOpenIDGivesAnIDTokenThatOthersVerify(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "ES256"} {
		s := newScene(t, "JWT_SIGNING_ALG="+alg)
		a := s.agent(t, s.organization(t, nil), "agents:read openid")
		if plain := s.must(t, tokenRequest(a, "agents:read"), 200, ""); plain.text("id_token") != "" {
			t.Errorf("an ID token that nobody asked for: %s", plain.body)
		}
		r := tokenRequest(a, "openid")
		r.form.Set("nonce", "n-0S6_WzA2Mj")
		answer := s.must(t, r, 200, "")
		ctx := s.foreign(t)
		provider, err := oidc.NewProvider(ctx, s.base)
		if err != nil {
			t.Fatal(err)
		}
		token, err := provider.Verifier(&oidc.Config{ClientID: a.id}).Verify(ctx, answer.text("id_token"))
		if err != nil {
			t.Fatalf("%s: go-oidc refuses the ID token: %v", alg, err)
		}
		var claims map[string]any
		if err := token.Claims(&claims); err != nil {
			t.Fatal(err)
		}
		if token.Nonce != "n-0S6_WzA2Mj" || token.Subject != a.id || claims["organization_id"] != a.organization || claims["agent_type"] != "screener" {
			t.Errorf("%s: claims %v", alg, claims)
		}
		if err := s.mustDie(answer.text("id_token")); err != nil {
			t.Errorf("an ID token opens the API: %v", err)
		}
	}
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// keyAgent is an agent that authenticates with a private key.
type keyAgent struct {
	agent
	method jwt.SigningMethod
	key    any
}

// keyAgent registers an agent with a key of its own; without an algorithm in
// the JWK the type of the key decides.
func (s *scene) keyAgent(tb testing.TB, organization string, method jwt.SigningMethod) keyAgent {
	tb.Helper()
	k := keyAgent{agent: s.agent(tb, organization, "agents:read"), method: method}
	s.must(tb, remove(s.operator, k.path()+"/credentials/"+k.credential), 204, "")
	var jwk map[string]any
	k.key, jwk = newKey(tb, method)
	made := s.must(tb, post(s.operator, k.path()+"/credentials", map[string]any{"kind": "private_key_jwt", "publicKeyJwk": jwk}), 201, "")
	if made.text("clientSecret") != "" || made.text("kind") != "private_key_jwt" {
		tb.Errorf("a credential for a key: %s", made.body)
	}
	k.credential = made.text("credentialId")
	return k
}

func newKey(tb testing.TB, method jwt.SigningMethod) (private any, jwk map[string]any) {
	tb.Helper()
	var public any
	if method == jwt.SigningMethodES256 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		private, public = key, key.Public()
	} else {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			tb.Fatal(err)
		}
		private, public = key, key.Public()
	}
	text, err := json.Marshal(jose.JSONWebKey{Key: public})
	if err == nil {
		err = json.Unmarshal(text, &jwk)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return private, jwk
}

// claims are those of a good assertion.
func (k keyAgent) claims(audience string) map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": k.id, "sub": k.id, "aud": audience, "jti": uuid.NewString(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
}

func (k keyAgent) sign(tb testing.TB, claims map[string]any) string {
	tb.Helper()
	text, err := jwt.NewWithClaims(k.method, jwt.MapClaims(claims)).SignedString(k.key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func byAssertion(assertion string) request {
	return tokenForm("grant_type", grant, "client_assertion_type", assertionType, "client_assertion", assertion)
}

func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, nil)
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodES256, jwt.SigningMethodRS256} {
		k, other := s.keyAgent(t, organization, method), s.keyAgent(t, organization, method)
		endpoint := s.base + "/oauth2/token"
		for _, audience := range []string{endpoint, s.base} {
			token := s.must(t, byAssertion(k.sign(t, k.claims(audience))), 200, "").text("access_token")
			s.must(t, get(token, "/api/v1/agents"), 200, "")
		}
		named := byAssertion(k.sign(t, k.claims(endpoint)))
		named.form.Set("client_id", k.id)
		s.must(t, named, 200, "")

		used := k.sign(t, k.claims(endpoint))
		s.must(t, byAssertion(used), 200, "")
		misnamed := byAssertion(k.sign(t, k.claims(endpoint)))
		misnamed.form.Set("client_id", other.id)
		refused := map[string]request{
			"replayed": byAssertion(used), "another client's name": misnamed, "rubbish": byAssertion("rubbish"),
			"another agent's key": byAssertion(keyAgent{k.agent, other.method, other.key}.sign(t, k.claims(endpoint))),
		}
		now := time.Now()
		for name, changes := range map[string]map[string]any{
			"wrong audience":      {"aud": "https://idp.elsewhere.example/oauth2/token"},
			"two audiences":       {"aud": []string{endpoint, "https://idp.elsewhere.example"}},
			"no audience":         {"aud": nil},
			"expired":             {"exp": now.Add(-2 * time.Minute).Unix(), "iat": now.Add(-3 * time.Minute).Unix()},
			"no expiry":           {"exp": nil},
			"too long lived":      {"exp": now.Add(2 * time.Hour).Unix()},
			"not valid yet":       {"nbf": now.Add(2 * time.Minute).Unix()},
			"issued in future":    {"iat": now.Add(2 * time.Minute).Unix()},
			"no jti":              {"jti": nil},
			"another issuer":      {"iss": other.id},
			"no issuer":           {"iss": nil},
			"another subject":     {"sub": other.id, "iss": other.id},
			"unknown subject":     {"sub": uuid.NewString()},
			"subject is no agent": {"sub": "admin"},
		} {
			refused[name] = byAssertion(k.sign(t, changed(k.claims(endpoint), changes)))
		}
		for name, r := range refused {
			if _, err := s.want(r, 401, "invalid_client"); err != nil {
				t.Errorf("%s: %s: %v", method.Alg(), name, err)
			}
		}
		s.refuseShamAssertions(t, k)
		s.rotateKey(t, k)
	}
}

// refuseShamAssertions: no MAC with a public key, and no alg none.
func (s *scene) refuseShamAssertions(t *testing.T, k keyAgent) {
	t.Helper()
	list := s.must(t, get(s.operator, k.path()+"/credentials?status=active"), 200, "").list("data")
	jwk, err := json.Marshal(list[0]["publicKeyJwk"])
	if err != nil {
		t.Fatal(err)
	}
	for _, sham := range []keyAgent{
		{k.agent, jwt.SigningMethodHS256, jwk}, {k.agent, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType},
	} {
		s.must(t, byAssertion(sham.sign(t, k.claims(s.base))), 401, "invalid_client")
	}
}

// rotateKey: the old key and what it got are dead, the new one works.
func (s *scene) rotateKey(t *testing.T, k keyAgent) {
	t.Helper()
	token := s.must(t, byAssertion(k.sign(t, k.claims(s.base))), 200, "").text("access_token")
	key, jwk := newKey(t, k.method)
	path := k.path() + "/credentials/" + k.credential + "/rotate"
	s.must(t, post(s.operator, path, map[string]any{}), 400, "VALIDATION_ERROR") // a key is not replaced by a secret
	s.must(t, post(s.operator, path, map[string]any{"publicKeyJwk": jwk}), 200, "")
	if err := s.mustDie(token); err != nil {
		t.Error(err)
	}
	s.must(t, byAssertion(k.sign(t, k.claims(s.base))), 401, "invalid_client")
	k.key = key
	s.must(t, byAssertion(k.sign(t, k.claims(s.base))), 200, "")
}

func TestOnlySoundPublicKeysAreTaken(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	_, ec := newKey(t, jwt.SigningMethodES256)
	_, rsaKey := newKey(t, jwt.SigningMethodRS256)
	for name, jwk := range map[string]any{
		"not on the curve": changed(ec, map[string]any{"x": ec["y"]}),
		"no curve":         changed(ec, map[string]any{"crv": nil}),
		"another curve":    changed(ec, map[string]any{"crv": "P-384"}),
		"private":          changed(ec, map[string]any{"d": ec["x"]}),
		"symmetric":        map[string]any{"kty": "oct", "k": "c2VjcmV0"},
		"no exponent":      changed(rsaKey, map[string]any{"e": nil}),
		"short modulus":    changed(rsaKey, map[string]any{"n": "AQAB"}),
		"a string":         "-----BEGIN PUBLIC KEY-----",
		"null":             nil,
		"empty":            map[string]any{},
	} {
		body := map[string]any{"kind": "private_key_jwt", "publicKeyJwk": jwk}
		if _, err := s.want(post(s.operator, a.path()+"/credentials", body), 400, "VALIDATION_ERROR"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.must(t, post(s.operator, a.path()+"/credentials", map[string]any{"kind": "private_key_jwt"}), 400, "VALIDATION_ERROR")
	s.must(t, post(s.operator, a.path()+"/credentials", map[string]any{"kind": "client_secret", "publicKeyJwk": ec}), 400, "VALIDATION_ERROR")
}

func (s *server) introspect(tb testing.TB, a agent, token string) answer {
	tb.Helper()
	return s.must(tb, request{method: http.MethodPost, path: "/oauth2/introspect", basic: &a, form: url.Values{"token": {token}}}, 200, "")
}

func TestIntrospectionTellsWhatAnActiveTokenIs(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read audit:read")
	token := s.token(t, a, "")
	var claims accessClaims
	part(t, token, 1, &claims)
	want := map[string]any{
		"active": true, "scope": claims.Scope, "client_id": a.id, "token_type": "Bearer", "iss": s.base, "sub": a.id, "aud": s.base,
		"exp": float64(claims.ExpiresAt), "iat": float64(claims.IssuedAt), "jti": claims.ID, "agent_id": a.id,
		"organization_id": a.organization, "ledger": float64(claims.Ledger),
	}
	if diff := cmp.Diff(want, s.introspect(t, a, token).object()); diff != "" {
		t.Errorf("by the client itself -want +got:\n%s", diff)
	}
	asker := s.agent(t, a.organization, "tokens:read webhooks:read")
	if diff := cmp.Diff(want, s.introspect(t, asker, token).object()); diff != "" {
		t.Errorf("by another client -want +got:\n%s", diff)
	}
	r := request{method: http.MethodPost, path: "/oauth2/introspect", form: url.Values{"token": {token}}}
	for name, bearer := range map[string]string{"a peer": s.token(t, asker, "tokens:read"), "the operator": s.operator} {
		r.token = bearer
		if diff := cmp.Diff(want, s.must(t, r, 200, "").object()); diff != "" {
			t.Errorf("by the token of %s -want +got:\n%s", name, diff)
		}
	}
	r.token = s.token(t, asker, "webhooks:read")
	s.must(t, r, 403, "insufficient_scope")
	r.token = "rubbish"
	s.must(t, r, 401, "invalid_token")
	r.token = ""
	s.must(t, r, 401, "invalid_client")
	r.basic = &agent{id: a.id, secret: "wrong"}
	s.must(t, r, 401, "invalid_client")
	r.basic, r.form = &a, url.Values{"token_type_hint": {"access_token"}}
	s.must(t, r, 400, "invalid_request")
}

// Of a token that is not active nobody learns why.
func TestIntrospectionDoesNotTellWhyATokenIsInactive(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, nil)
	asker, a := s.agent(t, organization, "tokens:read"), s.agent(t, organization, "agents:read")
	valid := s.token(t, a, "")
	forger := newForger(t, s, valid)
	revoked := s.token(t, a, "")
	if err := revokeToken.do(s.server, "", a, revoked); err != nil {
		t.Fatal(err)
	}
	suspended := s.agent(t, organization, "agents:read")
	ofSuspended := s.token(t, suspended, "")
	if err := setStatus(s.server, s.operator, suspended, "suspended"); err != nil {
		t.Fatal(err)
	}
	inactive := map[string]string{
		"rubbish": "rubbish", "a secret": a.secret, "revoked": revoked, "of a suspended agent": ofSuspended,
		"of another organization": s.token(t, s.agent(t, s.organization(t, nil), "agents:read"), ""),
		"of the operator":         s.operator,
	}
	for _, forgeries := range []map[string]string{forger.tampered(), forger.misclaimed(), forger.foreignKeys(), forger.shamMACs()} {
		maps.Copy(inactive, forgeries)
	}
	delete(inactive, "wrong audience") // for elsewhere, and active
	delete(inactive, "no audience")
	delete(inactive, "audience with slashes")
	r := request{method: http.MethodPost, path: "/oauth2/introspect", token: s.token(t, asker, "")}
	for name, token := range inactive {
		r.form = url.Values{"token": {token}}
		for _, answer := range []answer{s.introspect(t, asker, token), s.must(t, r, 200, "")} {
			if string(answer.body) != `{"active":false}` {
				t.Errorf("%s: %s", name, answer.body)
			}
		}
	}
}

func TestRevocationIsIdempotentAndOnlyForOnesOwnTokens(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, nil)
	a, peer := s.agent(t, organization, "agents:read"), s.agent(t, organization, "agents:read")
	first, second, others := s.token(t, a, ""), s.token(t, a, ""), s.token(t, peer, "")
	revoke := func(token string) request {
		return request{method: http.MethodPost, path: "/oauth2/revoke", basic: &a, form: url.Values{"token": {token}, "token_type_hint": {"refresh_token"}}}
	}
	s.must(t, revoke(others), 400, "unauthorized_client")
	s.must(t, get(others, "/api/v1/agents"), 200, "")
	s.must(t, revoke(first), 200, "")
	head := s.head(t)
	for _, token := range []string{first, first, "rubbish", first + "x", a.secret} {
		if answer := s.must(t, revoke(token), 200, ""); string(answer.body) != "{}" {
			t.Errorf("revocation answered %s", answer.body)
		}
	}
	if after := s.head(t); after != head {
		t.Errorf("revoking nothing was recorded: from %v to %v", head, after)
	}
	if err := s.mustDie(first); err != nil {
		t.Error(err)
	}
	s.must(t, get(second, "/api/v1/agents"), 200, "")
	r := revoke(second)
	r.basic = nil
	s.must(t, r, 401, "invalid_client")
	r.token = second
	s.must(t, r, 401, "invalid_client")
	r.token, r.basic, r.form = "", &a, url.Values{"token_type_hint": {"access_token"}}
	s.must(t, r, 400, "invalid_request")
	s.must(t, get(second, "/api/v1/agents"), 200, "")
}

// An attack leaves its trace in the victim's audit trail, but no flood.
func TestFailedAuthenticationIsRecordedOncePerBurst(t *testing.T) {
	t.Parallel()
	world := servertest.NewWorld(t)
	var a agent
	const attempts = 30
	t.Run("burst", func(t *testing.T) { // the server stops at its end, and flushes
		s := enter(t, world)
		a = s.agent(t, s.organization(t, nil), tenantScopes)
		parallel(t, attempts, func(i int) error {
			_, err := s.want(tokenRequest(agent{id: a.id, secret: fmt.Sprint("sk_live_guess", i)}, ""), 401, "invalid_client")
			return err
		})
		events := s.must(t, get(s.token(t, a, ""), "/api/v1/audit?action=auth.failed"), 200, "").list("data")
		if len(events) != 1 || events[0]["outcome"] != "failure" || events[0]["agentId"] != a.id || events[0]["ipAddress"] != "127.0.0.1" {
			t.Errorf("during the burst %v, want one failure of %s", events, a.id)
		}
		s.must(t, tokenRequest(agent{id: uuid.NewString(), secret: "sk_live_guess"}, ""), 401, "invalid_client")
	})
	t.Run("afterwards", func(t *testing.T) {
		s := enter(t, world)
		events := s.must(t, get(s.token(t, a, ""), "/api/v1/audit?action=auth.failed"), 200, "").list("data")
		told := len(events)
		for _, event := range events {
			metadata, _ := event["metadata"].(map[string]any)
			if metadata["reason"] != "wrong_secret" || metadata["clientId"] != a.id {
				t.Errorf("metadata %v", metadata)
			}
			suppressed, _ := metadata["suppressed"].(float64)
			told += int(suppressed)
		}
		if len(events) != 2 || told != attempts {
			t.Errorf("%d events tell of %d failures, want 2 that tell of %d: %v", len(events), told, attempts, events)
		}
		verification := s.must(t, get(s.operator, "/api/v1/audit/verify"), 200, "")
		if verification.object()["verified"] != true {
			t.Errorf("verification %s", verification.body)
		}
	})
}

// The sixth token of an organization that has five a month is refused, with
// Redis and without.
func TestMonthlyTokenQuotaHolds(t *testing.T) {
	t.Parallel()
	s, services := onOwnRedis(t)
	other := s.another(t)
	limited := map[string]any{"maxTokensPerMonth": 5}
	spend := func(name string, a agent, tokens int) {
		t.Helper()
		for i := range tokens {
			server := []*server{s.server, other}[i%2]
			if _, err := server.want(tokenRequest(a, ""), 200, ""); err != nil {
				t.Fatalf("%s: token %d: %v", name, i+1, err)
			}
		}
	}
	exhausted := func(name string, a agent, servers ...*server) {
		t.Helper()
		for _, server := range servers {
			refusal, err := server.want(tokenRequest(a, ""), 429, "temporarily_unavailable")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			now := time.Now().UTC()
			left := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC).Sub(now)
			seconds, err := time.ParseDuration(refusal.header.Get("Retry-After") + "s")
			if err != nil || (left-seconds).Abs() > time.Minute {
				t.Errorf("%s: Retry-After %s, want the start of the next month, in %s", name, refusal.header.Get("Retry-After"), left)
			}
		}
	}
	with := s.agent(t, s.organization(t, limited), "agents:read")
	spend("with Redis", with, 5)
	exhausted("with Redis", with, s.server, other)
	s.must(t, tokenRequest(agent{id: with.id, secret: "wrong"}, ""), 401, "invalid_client") // who is wrong learns nothing of it

	together := s.agent(t, s.organization(t, limited), "agents:read")
	got := outcomes(t, s.server, slicesOf(tokenRequest(together, ""), 20))
	if want := map[string]int{"200": 5, "429 temporarily_unavailable": 15}; !cmp.Equal(got, want) {
		t.Errorf("at the same time: %v, want %v", got, want)
	}
	if err := services.StopRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, server := range []*server{s.server, other} {
		until(t, func() error { return server.caughtUp("activity") })
	}
	exhausted("Redis gone", with, s.server, other)
	without := s.agent(t, s.organization(t, limited), "agents:read")
	got = outcomes(t, s.server, slicesOf(tokenRequest(without, ""), 20))
	if want := map[string]int{"200": 5, "429 temporarily_unavailable": 15}; !cmp.Equal(got, want) {
		t.Errorf("at the same time without Redis: %v, want %v", got, want)
	}
}

func slicesOf(r request, n int) []request {
	all := make([]request, n)
	for i := range all {
		all[i] = r
	}
	return all
}

// caughtUp says whether a projection has applied everything.
func (s *server) caughtUp(projection string) error {
	metrics, err := s.want(get("", "/metrics"), 200, "")
	lag := "agentidp_projection_lag_events"
	if !strings.Contains(string(metrics.body), lag) { // positions count no events
		lag = "agentidp_projection_lag_seconds"
	}
	if err == nil && !strings.Contains(string(metrics.body), fmt.Sprintf("%s{projection=%q} 0\n", lag, projection)) {
		err = fmt.Errorf("%s lags", projection)
	}
	return err
}
