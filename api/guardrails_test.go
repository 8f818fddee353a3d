package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/server/stores"
)

// keyring opens the server's own keys.
func (s *scene) keyring(tb testing.TB) *keyring.Keyring {
	tb.Helper()
	config := s.world.Config(tb)
	pool, err := stores.OpenDatabase(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	keys, err := keyring.Open(tb.Context(), pool, config.MasterKeyFile)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// forger makes tokens that differ from a valid one in one way each.
type forger struct {
	tb     testing.TB
	keys   *keyring.Keyring
	token  string         // valid
	header map[string]any // of it
	claims map[string]any // of it
}

func newForger(tb testing.TB, s *scene, token string) *forger {
	f := &forger{tb: tb, keys: s.keyring(tb), token: token}
	part(tb, token, 0, &f.header)
	part(tb, token, 1, &f.claims)
	return f
}

func changed(object map[string]any, changes map[string]any) map[string]any {
	out := maps.Clone(object)
	for name, value := range changes {
		out[name] = value
		if value == nil {
			delete(out, name)
		}
	}
	return out
}

// genuine is signed with the server's own key; a nil change leaves a claim out.
func (f *forger) genuine(typ string, changes map[string]any) string {
	f.tb.Helper()
	payload, err := json.Marshal(changed(f.claims, changes))
	if err != nil {
		f.tb.Fatal(err)
	}
	key, err := f.keys.Current(f.header["alg"].(string))
	if err != nil {
		f.tb.Fatal(err)
	}
	token, err := key.Sign(typ, payload)
	if err != nil {
		f.tb.Fatal(err)
	}
	return token
}

// signed has the claims of the valid token and whatever header and key.
func (f *forger) signed(method jwt.SigningMethod, header map[string]any, key any) string {
	f.tb.Helper()
	token := &jwt.Token{Method: method, Header: changed(f.header, header), Claims: jwt.MapClaims(f.claims)}
	text, err := token.SignedString(key)
	if err != nil {
		f.tb.Fatal(err)
	}
	return text
}

func (f *forger) parts() []string { return strings.Split(f.token, ".") }

// shamMACs are HS256 tokens whose secret is a public key of the server, in
// every form somebody may have it in.
func (f *forger) shamMACs() map[string]string {
	f.tb.Helper()
	tokens := map[string]string{}
	for _, key := range f.keys.PublicKeys() {
		public, _, _ := f.keys.PublicKey(key.KID)
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			f.tb.Fatal(err)
		}
		jwk, err := key.JWK.MarshalJSON()
		if err != nil {
			f.tb.Fatal(err)
		}
		for form, secret := range map[string][]byte{
			"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "DER": der, "JWK": jwk,
		} {
			tokens["HS256 with the "+key.Alg+" key as "+form] = f.signed(jwt.SigningMethodHS256, map[string]any{"alg": "HS256", "kid": key.KID}, secret)
		}
	}
	return tokens
}

func (f *forger) foreignKeys() map[string]string {
	f.tb.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.tb.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.tb.Fatal(err)
	}
	tokens := map[string]string{
		"foreign key with an unknown kid": f.signed(jwt.SigningMethodES256, map[string]any{"alg": "ES256", "kid": "stranger"}, ec),
		"foreign key without a kid":       f.signed(jwt.SigningMethodES256, map[string]any{"alg": "ES256", "kid": nil}, ec),
		"foreign key that it brings along": f.signed(jwt.SigningMethodRS256, map[string]any{"alg": "RS256", "kid": "mine", "jwk": map[string]any{
			"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(rsaKey.N.Bytes()), "e": "AQAB",
		}}, rsaKey),
	}
	for _, key := range f.keys.PublicKeys() {
		tokens["foreign EC key with the kid of the "+key.Alg+" key"] = f.signed(jwt.SigningMethodES256, map[string]any{"alg": "ES256", "kid": key.KID}, ec)
		tokens["foreign RSA key with the kid of the "+key.Alg+" key"] = f.signed(jwt.SigningMethodRS256, map[string]any{"alg": "RS256", "kid": key.KID}, rsaKey)
		tokens["foreign RSA-PSS key with the kid of the "+key.Alg+" key"] = f.signed(jwt.SigningMethodPS256, map[string]any{"alg": "PS256", "kid": key.KID}, rsaKey)
	}
	return tokens
}

func (f *forger) tampered() map[string]string {
	f.tb.Helper()
	p := f.parts()
	payload, err := json.Marshal(changed(f.claims, map[string]any{"scope": allScopes}))
	if err != nil {
		f.tb.Fatal(err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(p[2])
	if err != nil {
		f.tb.Fatal(err)
	}
	signature[0] ^= 1
	tokens := map[string]string{
		"tampered payload":   p[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + p[2],
		"tampered signature": p[0] + "." + p[1] + "." + base64.RawURLEncoding.EncodeToString(signature),
		"no signature":       p[0] + "." + p[1] + ".",
		"two parts":          p[0] + "." + p[1],
		"four parts":         f.token + "." + p[2],
	}
	for _, alg := range []string{"none", "None", "NONE", ""} {
		header, err := json.Marshal(changed(f.header, map[string]any{"alg": alg}))
		if err != nil {
			f.tb.Fatal(err)
		}
		encoded := base64.RawURLEncoding.EncodeToString(header)
		tokens["alg "+alg+" without a signature"] = encoded + "." + p[1] + "."
		tokens["alg "+alg+" with the signature"] = encoded + "." + p[1] + "." + p[2]
	}
	return tokens
}

// misclaimed are signed with the right key, but say something wrong.
func (f *forger) misclaimed() map[string]string {
	now := time.Now().Unix()
	tokens := map[string]string{"an ID token": f.genuine("JWT", nil), "no type": f.genuine("", nil)}
	for name, changes := range map[string]map[string]any{
		"wrong issuer":           {"iss": "https://idp.evil.example"},
		"no issuer":              {"iss": nil},
		"wrong audience":         {"aud": "https://api.elsewhere.example"},
		"no audience":            {"aud": nil},
		"audience with slashes":  {"aud": fmt.Sprint(f.claims["aud"], "//")},
		"expired":                {"exp": now - 1, "iat": now - 3601},
		"expires now":            {"exp": now, "iat": now - 3600},
		"no expiry":              {"exp": nil},
		"not valid yet":          {"nbf": now + 600},
		"no token id":            {"jti": nil},
		"no agent":               {"agent_id": nil},
		"another subject":        {"sub": uuid.NewString()},
		"no organization":        {"organization_id": nil},
		"organization no UUID":   {"organization_id": "system"},
		"scopes of a wrong type": {"scope": 7},
	} {
		tokens[name] = f.genuine("at+jwt", changes)
	}
	return tokens
}

// Whatever is wrong with a token, the answer is the same 401, and nothing happens.
func TestNoTokenButAValidOneOpensAnything(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "ES256"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, "JWT_SIGNING_ALG="+alg)
			a := s.agent(t, s.organization(t, nil), tenantScopes)
			forger := newForger(t, s, s.token(t, a, ""))
			elsewhere := tokenRequest(a, "")
			elsewhere.form.Set("resource", "https://api.elsewhere.example/v1")

			for name, valid := range map[string]string{
				"as issued": forger.token, "signed anew": forger.genuine("at+jwt", nil), "after two spaces": " " + forger.token,
				"issued by a node whose clock is ahead": forger.genuine("at+jwt", map[string]any{"iat": time.Now().Unix() + 600}),
				"for this server with a slash":          forger.genuine("at+jwt", map[string]any{"aud": s.base + "/"}),
			} {
				if _, err := s.want(get(valid, "/api/v1/agents"), 200, ""); err != nil {
					t.Fatalf("the valid token, %s, is refused: %v", name, err)
				}
			}
			s.must(t, get("", "/api/v1/agents").with("Authorization", "bEARER "+forger.token), 200, "")

			headers := map[string][]string{
				"no header": nil, "empty": {""}, "scheme only": {"Bearer"}, "no token": {"Bearer "},
				"rubbish": {"Bearer rubbish"}, "dots": {"Bearer ..."}, "another scheme": {"Token " + forger.token},
				"no scheme": {forger.token}, "and more": {"Bearer " + forger.token + " x"},
				"Basic": {"Basic " + base64.StdEncoding.EncodeToString([]byte(a.id+":"+a.secret))},
				"twice": {"Bearer " + forger.token, "Bearer " + forger.token}, "valid, then rubbish": {"Bearer " + forger.token, "Bearer rubbish"},
				"for another resource": {"Bearer " + s.must(t, elsewhere, 200, "").text("access_token")},
				"very long":            {"Bearer " + strings.Repeat("x", 20_000)},
			}
			for _, forgeries := range []map[string]string{forger.tampered(), forger.misclaimed(), forger.foreignKeys(), forger.shamMACs()} {
				for name, token := range forgeries {
					headers[name] = []string{"Bearer " + token}
				}
			}
			s.refuseAll(t, a, headers)
		})
	}
}

func (s *scene) refuseAll(t *testing.T, a agent, headers map[string][]string) {
	t.Helper()
	before := s.head(t)
	for name, values := range headers {
		for _, r := range []request{
			get("", "/api/v1/agents"),
			get("", "/api/v1/audit/verify"),
			post("", "/api/v1/agents", newAgentBody("", "")),
			remove("", a.path()),
		} {
			if values != nil {
				r.header = http.Header{"Authorization": values}
			}
			answer, err := s.want(r, 401, "UNAUTHORIZED")
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if challenge := answer.header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Bearer ") {
				t.Errorf("%s: WWW-Authenticate is %q, want a Bearer challenge", name, challenge)
			}
		}
	}
	if after := s.head(t); after != before {
		t.Errorf("the ledger went from %v to %v", before, after)
	}
}

// Every protected operation asks for a token, and for the scope that openapi.yaml says.
func TestEveryProtectedOperationAsksForItsScope(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	own := s.organization(t, nil)
	poor := s.token(t, s.agent(t, own, "webhooks:read"), "")
	protected := 0
	for _, o := range s.description.operations() {
		if o.Security == nil || len(*o.Security) != 1 || strings.HasPrefix(o.path, "/oauth2/") || isOAuth(o.path) {
			continue
		}
		required := (*o.Security)[0]["oauth2"]
		if len(required) == 0 {
			continue // any token will do
		}
		protected++
		r := request{method: o.method, path: strings.NewReplacer(
			"{orgId}", own, "{agentId}", uuid.NewString(), "{credentialId}", uuid.NewString(), "{eventId}", uuid.NewString(),
		).Replace(o.path)}
		s.must(t, r, 401, "UNAUTHORIZED")
		r.token = poor
		if o.RequestBody != nil && strings.Contains(o.path, "{orgId}") {
			r.json = o.sample(t)
		}
		refusal := s.must(t, r, 403, "INSUFFICIENT_SCOPE")
		details, _ := refusal.object()["details"].(map[string]any)
		if byRole := strings.Contains(o.path, "{orgId}") && details == nil; byRole { // what a member's role opens, the command decides
			if message := refusal.text("message"); !strings.Contains(message, "admin:orgs, or the role admin") {
				t.Errorf("%s: %q does not say what is lacking", o, message)
			}
			continue
		}
		if got := words(details["required"]); got != strings.Join(required, " ") || words(details["available"]) != "webhooks:read" {
			t.Errorf("%s: details %v, want required %v and available webhooks:read", o, details, required)
		}
		if challenge := refusal.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="insufficient_scope"`) {
			t.Errorf("%s: challenge %q", o, challenge)
		}
	}
	const known = 19 // of this API today
	if protected < known {
		t.Errorf("%d protected operations, want at least %d", protected, known)
	}
}

func words(list any) string {
	items, _ := list.([]any)
	out := make([]string, len(items))
	for i, item := range items {
		out[i], _ = item.(string)
	}
	return strings.Join(out, " ")
}

func TestNobodyGrantsAScopeTheyLack(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	registrar := s.agent(t, s.organization(t, nil), "agents:read agents:write audit:read")
	peer := s.agent(t, registrar.organization, "agents:read")
	token := s.token(t, registrar, "agents:read agents:write") // less than the agent is allowed
	before := s.must(t, get(token, peer.path()), 200, "").body
	for _, scopes := range []string{"audit:read", "agents:read tokens:read", "admin:orgs", "openid", allScopes} {
		refusal := s.must(t, post(token, "/api/v1/agents", newAgentBody("", scopes)), 403, "SCOPE_NOT_ALLOWED")
		details, _ := refusal.object()["details"].(map[string]any)
		if words(details["available"]) != "agents:read agents:write" {
			t.Errorf("details %v, want what is available", details)
		}
		s.must(t, patch(token, peer.path(), map[string]any{"scopes": strings.Fields(scopes)}), 403, "SCOPE_NOT_ALLOWED")
		s.must(t, patch(token, registrar.path(), map[string]any{"scopes": append(strings.Fields(scopes), "webhooks:write")}), 403, "SCOPE_NOT_ALLOWED")
	}
	if after := s.must(t, get(token, peer.path()), 200, "").body; string(after) != string(before) {
		t.Errorf("the agent changed from %s to %s", before, after)
	}
	if total := s.must(t, get(token, "/api/v1/agents"), 200, "").number("total"); total != 2 {
		t.Errorf("%v agents, want 2", total)
	}
	s.must(t, post(token, "/api/v1/agents", newAgentBody("", "agents:read agents:write")), 201, "")
	s.must(t, post(token, "/api/v1/agents", newAgentBody("", "agents:everything")), 400, "VALIDATION_ERROR")
}

// Whoever may open an operator's agent is an operator.
func TestNobodyGetsHoldOfAnOperatorsCredential(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	clerk := s.token(t, s.agent(t, s.root.organization, "agents:read agents:write"), "")
	s.must(t, post(clerk, s.root.path()+"/credentials", map[string]any{}), 403, "SCOPE_NOT_ALLOWED")
	s.must(t, post(clerk, s.root.path()+"/credentials/rotate", map[string]any{}), 403, "SCOPE_NOT_ALLOWED")
	s.must(t, tokenRequest(s.root, "admin:orgs"), 200, "")
}

func TestAgentsAreAllowedToReadUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	registered := s.must(t, post(s.operator, "/api/v1/agents", newAgentBody(s.organization(t, nil), "")), 201, "")
	if scopes := words(registered.object()["scopes"]); scopes != "agents:read" {
		t.Errorf("scopes %q, want agents:read", scopes)
	}
}

func TestNoTokenExceedsWhatItsAgentIsAllowed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read audit:read")
	for _, scope := range []string{"agents:write", "agents:write admin:orgs", "agents:read nonsense", "admin:orgs", "agents:*", "nonsense", "AGENTS:READ"} {
		s.must(t, tokenRequest(a, scope), 400, "invalid_scope")
	}
	if got := s.must(t, tokenRequest(a, "agents:read agents:write admin:orgs"), 200, "").text("scope"); got != "agents:read" {
		t.Errorf("asked for what it is not allowed too, it got %q, want agents:read", got)
	}
	narrow := s.must(t, tokenRequest(a, " audit:read  audit:read "), 200, "")
	if got := narrow.text("scope"); got != "audit:read" {
		t.Errorf("scope %q, want audit:read", got)
	}
	s.must(t, get(narrow.text("access_token"), "/api/v1/agents"), 403, "INSUFFICIENT_SCOPE")
	s.must(t, get(narrow.text("access_token"), "/api/v1/audit"), 200, "")
}

// The power over all organizations is never given unasked.
func TestDefaultScopeIsAllButThePlatforms(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	answer := s.must(t, tokenRequest(s.root, ""), 200, "")
	if got := answer.text("scope"); got != tenantScopes {
		t.Errorf("scope %q, want %q", got, tenantScopes)
	}
	s.must(t, get(answer.text("access_token"), "/api/v1/organizations"), 403, "INSUFFICIENT_SCOPE")
	s.must(t, tokenRequest(s.root, "admin:orgs"), 200, "")
}

func TestReducedScopesKillOldTokens(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	first := s.token(t, a, "")
	s.must(t, patch(s.operator, a.path(), map[string]any{"scopes": []string{"agents:read", "audit:read"}}), 200, "")
	s.must(t, get(first, "/api/v1/agents"), 200, "") // more scopes harm nobody
	second := s.token(t, a, "")
	s.must(t, patch(s.operator, a.path(), map[string]any{"scopes": []string{"agents:read"}}), 200, "")
	for _, token := range []string{first, second} {
		if err := s.mustDie(token); err != nil {
			t.Error(err)
		}
	}
	s.must(t, tokenRequest(a, "audit:read"), 400, "invalid_scope")
	s.must(t, get(s.token(t, a, ""), "/api/v1/agents"), 200, "")
}
