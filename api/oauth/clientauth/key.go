package clientauth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"github.com/sentryagent/agentidp/domain"
)

const (
	minRSABits = 2048
	// minRSAExponent is that of FIPS 186-5 section 5.1. Nobody's software makes
	// keys with a smaller one today.
	minRSAExponent = 65537
)

// CheckedKey is the form in which a public key is kept that assertions may be
// signed with. Members of the JWK that say nothing about the key are dropped
// (RFC 7517 section 4). A private key is refused: whoever sends one has shown it.
func CheckedKey(jwk json.RawMessage) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(jwk, &members); err != nil {
		return nil, domain.Invalid("publicKeyJwk", "must be a JSON Web Key", nil)
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, there := members[private]; there {
			return nil, domain.Invalid("publicKeyJwk."+private, "belongs to a private key, which nobody else may have: send the public key alone, of a new pair", nil)
		}
	}
	known := map[string]json.RawMessage{}
	for _, name := range []string{"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"} {
		if value, there := members[name]; there {
			known[name] = value
		}
	}
	text, err := json.Marshal(known)
	if err != nil {
		return nil, err
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(text); err != nil || !key.IsPublic() || !key.Valid() {
		return nil, domain.Invalid("publicKeyJwk", "is not a valid public key (RFC 7517)", nil)
	}
	if err := checkStrength(key); err != nil {
		return nil, err
	}
	if len(algorithmsOf(key)) == 0 {
		return nil, domain.Invalid("publicKeyJwk.alg", "does not fit the key", Algorithms())
	}
	canonical, err := json.Marshal(jose.JSONWebKey{Key: key.Key, KeyID: key.KeyID, Algorithm: key.Algorithm, Use: key.Use})
	return bytes.TrimSpace(canonical), err
}

func checkStrength(key jose.JSONWebKey) error {
	switch public := key.Key.(type) {
	case *ecdsa.PublicKey:
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384()}, public.Curve) {
			return domain.Invalid("publicKeyJwk.crv", "must be P-256 or P-384", nil)
		}
	case ed25519.PublicKey:
	case *rsa.PublicKey:
		switch {
		case public.N.BitLen() < minRSABits:
			return domain.Invalid("publicKeyJwk.n", "has too few bits", minRSABits)
		case public.N.Bit(0) == 0:
			return domain.Invalid("publicKeyJwk.n", "is even, so it is no RSA modulus", nil)
		case public.E < minRSAExponent || public.E%2 == 0:
			return domain.Invalid("publicKeyJwk.e", "must be odd, and 65537 (AQAB) or more", minRSAExponent)
		}
	default:
		return domain.Invalid("publicKeyJwk.kty", "must be EC, OKP or RSA", nil)
	}
	return nil
}
