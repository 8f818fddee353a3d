package did

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/strictjson"
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
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return p, badProof("must be a signed JWT: three parts in base64url")
	}
	header, headerOK := object(parts[0])
	claims, claimsOK := object(parts[1])
	signature, signatureOK := tokens.DecodePart(parts[2])
	if !headerOK || !claimsOK || !signatureOK {
		return p, badProof("must be a signed JWT: three parts in base64url, the first two JSON objects without a name twice")
	}
	if header["alg"] != "ES256" {
		return p, badProof("must be signed with ES256")
	}
	for _, name := range []string{"crit", "b64", "jku", "x5u", "jwk"} { // other rules or another key than ours
		if _, there := header[name]; there {
			return p, badProof("must not have " + name + " in its header")
		}
	}
	var public jose.JSONWebKey
	if err := public.UnmarshalJSON(key); err != nil {
		return p, err
	}
	if jwt.SigningMethodES256.Verify(parts[0]+"."+parts[1], signature, public.Key) != nil {
		return p, badProof("was not signed by the private half of publicKeyJwk")
	}
	return readClaims(claims, want)
}

func object(part string) (map[string]any, bool) {
	data, canonical := tokens.DecodePart(part)
	if !canonical {
		return nil, false
	}
	value, fault := strictjson.Parse(data)
	if fault != nil {
		return nil, false
	}
	found, ok := value.(map[string]any)
	return found, ok
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
	issuedAt, issued := numericDate(claims["iat"])
	expiresAt, expires := numericDate(claims["exp"])
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

// numericDate is RFC 7519 section 2: seconds, maybe with a fraction.
func numericDate(claim any) (at time.Time, ok bool) {
	number, isNumber := claim.(json.Number)
	seconds, err := number.Float64()
	if !isNumber || err != nil || math.Abs(seconds) > 1<<40 {
		return at, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*float64(time.Second))), true
}
