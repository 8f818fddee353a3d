package did

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/tokens"
)

const (
	maxProofLife = 5 * time.Minute
	clockSkew    = time.Minute // how far a caller's clock may be from ours
	// proofMargin is how much longer than its life a proof is remembered: the clocks
	// of the nodes and of the database need not agree to the second.
	proofMargin = clockSkew + 5*time.Minute
)

// proof is a proof of possession whose signature and claims are in order.
type proof struct {
	id        string // jti
	expiresAt time.Time
}

// expected is what a proof must say.
type expected struct {
	subject, audience string
	now               time.Time
}

func badProof(fault string) error { return domain.Invalid("proof", fault, nil) }

// readProof checks a compact JWS (RFC 7515 section 7.1) that the private half of a
// key has signed with ES256, and what it says.
func readProof(text string, key json.RawMessage, want expected) (p proof, err error) {
	parts, ok := tokens.SplitForeign(text)
	if !ok {
		return p, badProof("must be a signed JWT: three parts in base64url, the first two JSON objects without a name twice")
	}
	if parts.Header["alg"] != "ES256" {
		return p, badProof("must be signed with ES256")
	}
	for _, name := range []string{"crit", "b64", "jku", "x5u", "jwk"} { // other rules or another key than ours
		if _, there := parts.Header[name]; there {
			return p, badProof("must not have " + name + " in its header")
		}
	}
	var public jose.JSONWebKey
	if err := public.UnmarshalJSON(key); err != nil {
		return p, err
	}
	if jwt.SigningMethodES256.Verify(parts.Signed, parts.Signature, public.Key) != nil {
		return p, badProof("was not signed by the private half of publicKeyJwk")
	}
	return readClaims(parts.Claims, want)
}

func readClaims(claims map[string]any, want expected) (p proof, err error) {
	if claims["sub"] != want.subject {
		return p, badProof("must have the agent's DID as sub: " + want.subject)
	}
	audience := claims["aud"]
	if list, isList := audience.([]any); isList && len(list) == 1 {
		audience = list[0]
	}
	if named, _ := audience.(string); strings.TrimSuffix(named, "/") != want.audience {
		return p, badProof("must have this server as aud, and nothing else: " + want.audience)
	}
	const longest = 256
	if p.id, _ = claims["jti"].(string); p.id == "" || len(p.id) > longest {
		return p, badProof("must have a jti of 1 to 256 bytes, a new one each time")
	}
	issuedAt, _, issued := tokens.NumericDate(claims["iat"])
	expiresAt, _, expires := tokens.NumericDate(claims["exp"])
	switch {
	case !issued || !expires:
		return p, badProof("must have iat and exp, in seconds")
	case issuedAt.After(want.now.Add(clockSkew)):
		return p, badProof("was issued ahead of time: look at your clock")
	case !want.now.Before(expiresAt.Add(clockSkew)):
		return p, badProof("has expired: make a new one, and look at your clock")
	case expiresAt.Sub(issuedAt) > maxProofLife || !expiresAt.After(issuedAt):
		return p, badProof("must expire at most 300 seconds after iat")
	}
	p.expiresAt = expiresAt
	return p, nil
}
