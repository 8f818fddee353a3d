package clientauth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/tokens"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
	// maxAssertionLife bounds how far ahead an assertion may expire, and with
	// it how long its jti has to be remembered.
	maxAssertionLife = time.Hour
	// clockSkew is how far a client's clock may be from ours: RFC 7523 section 3
	// leaves room for that in exp, nbf and iat.
	clockSkew = time.Minute
)

// assertion is a client assertion (RFC 7523 section 3) whose claims are in
// order. Whether the client signed it is not known yet.
type assertion struct {
	text      string // up to the signature: what was signed
	signature []byte
	algorithm string
	keyID     string // of the header; empty when it names none
	agentID   domain.AgentID
	id        string // jti
	expiresAt time.Time
}

// badAssertion refuses an assertion for what can be seen in it by whoever made
// it. It tells nothing about the client or its keys, so it may be said aloud.
type badAssertion struct{ description string }

func (e *badAssertion) Error() string { return "client assertion: " + e.description }

// Unwrap makes it the failed authentication that it is.
func (e *badAssertion) Unwrap() error { return &domain.AuthError{Reason: domain.AuthBadAssertion} }

// readAssertion checks everything about an assertion but its signature: as it
// should be at a moment, for a server with these names.
func readAssertion(text string, audiences []string, now time.Time) (assertion, error) {
	jwt, ok := tokens.SplitForeign(text)
	if !ok {
		return assertion{}, &badAssertion{
			"client_assertion must be a signed JWT: three parts in base64url, the first two JSON objects without a name twice",
		}
	}
	a := assertion{text: jwt.Signed, signature: jwt.Signature}
	if err := a.readHeader(jwt.Header); err != nil {
		return a, err
	}
	return a, a.readClaims(jwt.Claims, audiences, now)
}

// readHeader refuses what would have another key or other rules count than
// those we keep (RFC 7515 section 4.1, RFC 8725 section 3.11).
func (a *assertion) readHeader(header map[string]any) error {
	for _, name := range []string{"crit", "jku", "jwk", "x5u"} {
		if _, there := header[name]; there {
			return &badAssertion{"the header of client_assertion must not have " + name}
		}
	}
	if typ, there := header["typ"]; there {
		text, _ := typ.(string)
		if !slices.Contains([]string{"jwt", "client-authentication+jwt"}, strings.TrimPrefix(strings.ToLower(text), "application/")) {
			return &badAssertion{"typ of client_assertion must be JWT, or be left out"}
		}
	}
	a.algorithm, _ = header["alg"].(string)
	if !slices.Contains(Algorithms(), a.algorithm) {
		return &badAssertion{"alg of client_assertion must be one of " + strings.Join(Algorithms(), ", ")}
	}
	keyID, there := header["kid"]
	a.keyID, _ = keyID.(string)
	if there && a.keyID == "" {
		return &badAssertion{"kid of client_assertion must be a string that is not empty, or be left out"}
	}
	return nil
}

func (a *assertion) readClaims(claims map[string]any, audiences []string, now time.Time) error {
	subject, _ := claims["sub"].(string)
	if issuer, _ := claims["iss"].(string); subject == "" || issuer != subject {
		return &badAssertion{"iss and sub of client_assertion must both be the client id"}
	}
	var err error
	if a.agentID, err = domain.ParseAgentID(subject); err != nil {
		return &domain.AuthError{Reason: domain.AuthBadAssertion}
	}
	if !isAudience(claims["aud"], audiences) {
		return &badAssertion{"aud of client_assertion must be " + strings.Join(audiences, " or ") + ", and nothing else"}
	}
	if a.id, _ = claims["jti"].(string); a.id == "" {
		return &badAssertion{"client_assertion needs a jti, a new one each time"}
	}
	return a.readTimes(claims, now)
}

// isAudience takes one string, by itself or in a list: who else could use the
// assertion might use it here in the client's name.
func isAudience(claim any, audiences []string) bool {
	if list, isList := claim.([]any); isList && len(list) == 1 {
		claim = list[0]
	}
	audience, isText := claim.(string)
	return isText && slices.Contains(audiences, audience)
}

func (a *assertion) readTimes(claims map[string]any, now time.Time) error {
	expiresAt, there, ok := tokens.NumericDate(claims["exp"])
	switch {
	case !there:
		return &badAssertion{"client_assertion needs an exp"}
	case !ok:
		return &badAssertion{"exp of client_assertion must be a number of seconds"}
	case !now.Before(expiresAt.Add(clockSkew)):
		return &badAssertion{"client_assertion has expired: make a new one for each request, and look at the clock of the client"}
	case expiresAt.After(now.Add(maxAssertionLife + clockSkew)):
		return &badAssertion{"exp of client_assertion must be at most an hour ahead"}
	}
	a.expiresAt = expiresAt
	for _, name := range []string{"iat", "nbf"} {
		at, there, ok := tokens.NumericDate(claims[name])
		switch {
		case there && !ok:
			return &badAssertion{name + " of client_assertion must be a number of seconds"}
		case there && at.After(now.Add(clockSkew)):
			return &badAssertion{name + " of client_assertion is more than a minute ahead: look at the clock of the client"}
		}
	}
	return nil
}

// Algorithms are those that a client may sign with.
func Algorithms() []string {
	return []string{"RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"}
}

// algorithmsOf are the algorithms that a key can be used with, none when it can
// be used with none of ours. A key that names its algorithm is for that alone.
func algorithmsOf(key jose.JSONWebKey) []string {
	var fitting []string
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		fitting = []string{"RS256", "PS256"}
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			fitting = []string{"ES256"}
		case elliptic.P384():
			fitting = []string{"ES384"}
		}
	case ed25519.PublicKey:
		fitting = []string{"EdDSA", "Ed25519"} // RFC 8037, and its name since RFC 9864
		if slices.Contains(fitting, key.Algorithm) {
			return fitting
		}
	}
	if key.Algorithm == "" {
		return fitting
	}
	if slices.Contains(fitting, key.Algorithm) {
		return []string{key.Algorithm}
	}
	return nil
}

// claimedSubject is who an assertion says it comes from, nothing of which has
// been checked.
func claimedSubject(text string) string {
	jwt, _ := tokens.SplitForeign(text)
	subject, _ := jwt.Claims["sub"].(string)
	return subject
}
