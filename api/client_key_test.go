package api_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// addKey gives an agent one more key, a JWK with members that nobody asked for.
func (s *scene) addKey(tb testing.TB, a agent, private crypto.Signer, members map[string]any) answer {
	tb.Helper()
	text, err := json.Marshal(jose.JSONWebKey{Key: private.Public()})
	jwk := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &jwk)
	}
	if err != nil {
		tb.Fatal(err)
	}
	body := map[string]any{"kind": "private_key_jwt", "publicKeyJwk": changed(jwk, members)}
	return s.must(tb, post(s.operator, a.path()+"/credentials", body), 201, "")
}

// signWith signs a good assertion with a key, and a header of the test's own.
func signWith(tb testing.TB, a agent, audience string, method jwt.SigningMethod, key any, header map[string]any) string {
	tb.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims(keyAgent{agent: a}.claims(audience)))
	maps.Copy(token.Header, header)
	text, err := token.SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func mustKeys(tb testing.TB) (p256, p384 *ecdsa.PrivateKey, ed ed25519.PrivateKey, rsaKey *rsa.PrivateKey) {
	tb.Helper()
	var errs [4]error
	p256, errs[0] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, errs[1] = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, errs[2] = ed25519.GenerateKey(rand.Reader)
	rsaKey, errs[3] = rsa.GenerateKey(rand.Reader, 2048)
	for _, err := range errs {
		if err != nil {
			tb.Fatal(err)
		}
	}
	return p256, p384, ed, rsaKey
}

// Every algorithm that the metadata lists works, with a kid and without, and a
// key is for its own algorithms alone.
func TestEveryListedAlgorithmAuthenticates(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	p256, p384, ed, rsaKey := mustKeys(t)
	for _, key := range []crypto.Signer{p256, p384, ed, rsaKey} {
		s.addKey(t, a, key, map[string]any{"x-unknown": true, "iat": 1, "x5t": "abc", "key_ops": []string{"verify"}})
	}
	for _, test := range []struct {
		method jwt.SigningMethod
		alg    string
		key    any
	}{
		{jwt.SigningMethodES256, "", p256}, {jwt.SigningMethodES384, "", p384}, {jwt.SigningMethodEdDSA, "", ed},
		{jwt.SigningMethodEdDSA, "Ed25519", ed}, {jwt.SigningMethodRS256, "", rsaKey}, {jwt.SigningMethodPS256, "", rsaKey},
	} {
		for name, header := range map[string]map[string]any{
			"no kid": {}, "a kid that no key has": {"kid": "any"}, "its type": {"typ": "client-authentication+jwt", "x5t": "abc"},
		} {
			if test.alg != "" {
				header["alg"] = test.alg
			}
			if _, err := s.want(byAssertion(signWith(t, a, s.base, test.method, test.key, header)), 200, ""); err != nil {
				t.Errorf("%s %s, %s: %v", test.method.Alg(), test.alg, name, err)
			}
		}
	}
	s.must(t, byAssertion(signWith(t, a, s.base, jwt.SigningMethodRS384, rsaKey, nil)), 401, "invalid_client")
	kept := s.must(t, get(s.operator, a.path()+"/credentials"), 200, "").list("data")
	for _, credential := range kept {
		jwk, _ := credential["publicKeyJwk"].(map[string]any)
		for _, name := range []string{"x-unknown", "iat", "x5t", "key_ops"} {
			if jwk[name] != nil {
				t.Errorf("%s is kept: %v", name, jwk)
			}
		}
	}
}

// A kid chooses among the keys; a key that has ended is named in the record
// only by an assertion that names it.
func TestKeyIDChoosesTheKey(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read audit:read")
	old, newer, _, _ := mustKeys(t)
	third, _, _, _ := mustKeys(t)
	dead := s.addKey(t, a, old, map[string]any{"kid": "old"}).text("credentialId")
	s.addKey(t, a, newer, map[string]any{"kid": "new"})
	s.addKey(t, a, third, nil)
	sign := func(method jwt.SigningMethod, key any, kid string) request {
		header := map[string]any{}
		if kid != "" {
			header["kid"] = kid
		}
		return byAssertion(signWith(t, a, s.base, method, key, header))
	}
	s.must(t, sign(jwt.SigningMethodES256, old, "old"), 200, "")
	s.must(t, sign(jwt.SigningMethodES384, newer, "new"), 200, "")
	s.must(t, sign(jwt.SigningMethodES384, newer, ""), 200, "")
	s.must(t, sign(jwt.SigningMethodES256, third, "whatever"), 200, "") // it has no kid of its own
	s.must(t, sign(jwt.SigningMethodES256, old, "new"), 401, "invalid_client")
	s.must(t, remove(s.operator, a.path()+"/credentials/"+dead), 204, "")
	s.must(t, sign(jwt.SigningMethodES256, old, "old"), 401, "invalid_client")
	s.must(t, sign(jwt.SigningMethodES256, old, ""), 401, "invalid_client")
	reasons := map[string]bool{}
	for _, event := range s.must(t, get(s.token(t, a, ""), "/api/v1/audit?action=auth.failed"), 200, "").list("data") {
		metadata, _ := event["metadata"].(map[string]any)
		reason, _ := metadata["reason"].(string)
		reasons[reason] = true
	}
	if !reasons["credential_revoked"] || !reasons["bad_assertion"] {
		t.Errorf("reasons on record: %v", reasons)
	}
}

// RFC 7515 section 4.1.11, RFC 8725 section 3.11, and one way to write each.
func TestAssertionsWithMoreThanOneMeaningAreRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	k := s.keyAgent(t, s.organization(t, nil), jwt.SigningMethodES256)
	for name, header := range map[string]map[string]any{
		"crit": {"crit": []string{"exp"}, "exp": 1}, "jku": {"jku": "https://evil.example"}, "x5u": {"x5u": "https://evil.example"},
		"jwk": {"jwk": map[string]any{"kty": "EC"}}, "typ": {"typ": "at+jwt"}, "kid": {"kid": 7},
	} {
		refused := s.must(t, byAssertion(signWith(t, k.agent, s.base, k.method, k.key, header)), 401, "invalid_client")
		if said := refused.text("error_description"); !strings.Contains(said, name) {
			t.Errorf("%s: %q", name, said)
		}
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := func(header, claims string) string {
		text := encode([]byte(header)) + "." + encode([]byte(claims))
		signature, err := k.method.Sign(text, k.key)
		if err != nil {
			t.Fatal(err)
		}
		return text + "." + encode(signature)
	}
	claims, err := json.Marshal(k.claims(s.base))
	if err != nil {
		t.Fatal(err)
	}
	s.must(t, byAssertion(signed(`{"alg":"ES256"}`, string(claims))), 200, "")
	good := signed(`{"alg":"ES256"}`, strings.Replace(string(claims), `"jti":"`, `"jti":"2`, 1))
	for name, text := range map[string]string{
		"a claim twice":      signed(`{"alg":"ES256"}`, strings.Replace(string(claims), "{", `{"iss":"x",`, 1)),
		"a header twice":     signed(`{"alg":"none","alg":"ES256"}`, string(claims)),
		"capital letters":    signed(`{"alg":"ES256"}`, strings.Replace(string(claims), `"sub"`, `"SUB"`, 1)),
		"a line break":       good[:len(good)-4] + "\n" + good[len(good)-4:],
		"padding":            good + "==",
		"bits behind an end": good[:len(good)-1] + string(after(good[len(good)-1])),
	} {
		if _, err := s.want(byAssertion(text), 401, "invalid_client"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.must(t, byAssertion(good), 200, "")
}

// after is the next letter of the base64url alphabet.
func after(letter byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[(strings.IndexByte(alphabet, letter)+1)%len(alphabet)]
}

// A token has one text, at every endpoint that reads one.
func TestTokensCanBeWrittenInOneWayOnly(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	token := s.token(t, a, "")
	for name, text := range map[string]string{
		"bits behind the end": token[:len(token)-1] + string(after(token[len(token)-1])), "a line break": token + "\n", "one inside": token[:len(token)-3] + "\r\n" + token[len(token)-3:],
	} {
		if about := s.introspect(t, a, text); about.object()["active"] != false {
			t.Errorf("%s: %s", name, about.body)
		}
	}
}

// Keys that could never verify anything are no credentials.
func TestKeysThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	p256, p384, ed, rsaKey := mustKeys(t)
	jwkOf := func(key any) map[string]any {
		text, err := json.Marshal(jose.JSONWebKey{Key: key})
		jwk := map[string]any{}
		if err == nil {
			err = json.Unmarshal(text, &jwk)
		}
		if err != nil {
			t.Fatal(err)
		}
		return jwk
	}
	even := base64.RawURLEncoding.EncodeToString(new(big.Int).Sub(rsaKey.N, big.NewInt(1)).Bytes())
	for name, jwk := range map[string]map[string]any{
		"publicKeyJwk.d": jwkOf(p256), "publicKeyJwk.n": changed(jwkOf(rsaKey.Public()), map[string]any{"n": even}),
		"publicKeyJwk.e": changed(jwkOf(rsaKey.Public()), map[string]any{"e": "Aw"}),
		"publicKeyJwk":   changed(jwkOf(ed.Public()), map[string]any{"crv": "P-256"}),
	} {
		refused := s.must(t, post(s.operator, a.path()+"/credentials", map[string]any{"kind": "private_key_jwt", "publicKeyJwk": jwk}), 400, "VALIDATION_ERROR")
		if details, _ := refused.object()["details"].(map[string]any); details["field"] != name {
			t.Errorf("%s: %s", name, refused.body)
		}
	}
	for alg, key := range map[string]any{"RS256": p256.Public(), "ES256": p384.Public(), "ES384": p256.Public(), "EdDSA": rsaKey.Public(), "PS256": ed.Public()} {
		jwk := changed(jwkOf(key), map[string]any{"alg": alg})
		s.must(t, post(s.operator, a.path()+"/credentials", map[string]any{"kind": "private_key_jwt", "publicKeyJwk": jwk}), 400, "VALIDATION_ERROR")
	}
}

// A credential works until its end and not a moment past it, whatever the
// second that tokens are issued in.
func TestCredentialEndsToTheMoment(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	ends := time.Now().Add(time.Hour).Truncate(time.Second).Add(700 * time.Millisecond)
	made := s.must(t, post(s.operator, a.path()+"/credentials", map[string]any{"expiresAt": ends.UTC().Format(time.RFC3339Nano)}), 201, "")
	a.secret = made.text("clientSecret")
	for _, test := range []struct {
		at     time.Duration
		status int
	}{{-time.Millisecond, 200}, {0, 401}, {time.Millisecond, 401}, {200 * time.Millisecond, 401}} {
		node := newServer(t, s.world.ServeAt(t, func() time.Time { return ends.Add(test.at) }))
		answer, err := node.want(tokenRequest(a, ""), test.status, "")
		if err != nil {
			t.Errorf("%s: %v", test.at, err)
		}
		if test.status != 200 {
			continue
		}
		var claims accessClaims
		part(t, answer.text("access_token"), 1, &claims)
		if claims.IssuedAt != ends.Unix() || claims.ExpiresAt != ends.Unix()+3600 || answer.number("expires_in") != 3600 {
			t.Errorf("iat %d, exp %d, want whole seconds from %d on", claims.IssuedAt, claims.ExpiresAt, ends.Unix())
		}
	}
}
