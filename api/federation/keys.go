package federation

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sentryagent/agentidp/domain"
)

const (
	jwksTypes = "application/jwk-set+json, application/json"

	maxKeys        = 100 // of a set, usable or not
	minRSABits     = 2048
	maxRSABits     = 8192 // beyond that one signature takes milliseconds to check
	minRSAExponent = 65537
)

var (
	errNoSet     = errors.New("what is there is no JWK Set (RFC 7517 section 5)")
	errManyKeys  = fmt.Errorf("the JWK Set has more than %d keys", maxKeys)
	errNoKey     = errors.New("the JWK Set has no key for RS256 (RSA of 2048 to 8192 bits) or ES256 (P-256)")
	signedByRSA  = jwt.SigningMethodRS256
	signedByP256 = jwt.SigningMethodES256
)

// key is one that tokens of a partner may be signed with, by one algorithm.
type key struct {
	id     string // "" where the partner gives it none
	method jwt.SigningMethod
	public any
}

// checkKeys makes sure that there are keys to be had at a URL.
func (h *Handler) checkKeys(ctx context.Context, jwksURI string) error {
	_, err := fetchKeys(ctx, h.Fetch, jwksURI)
	if err != nil && ctx.Err() == nil {
		return domain.Invalid("jwksUri", "gives no keys: "+err.Error(), nil)
	}
	return err
}

func fetchKeys(ctx context.Context, fetch Fetch, jwksURI string) ([]key, error) {
	document, err := fetch(ctx, jwksURI, jwksTypes)
	if err != nil {
		return nil, err
	}
	return parseKeys(document)
}

// parseKeys takes the keys of a JWK Set that RS256 or ES256 can be verified with. What
// else is in the set is passed over (RFC 7517 section 5): it is of no harm.
func parseKeys(document []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, errNoSet
	}
	if len(set.Keys) > maxKeys {
		return nil, errManyKeys
	}
	var usable []key
	for _, jwk := range set.Keys {
		if k, ok := parseKey(jwk); ok {
			usable = append(usable, k)
		}
	}
	if len(usable) == 0 {
		return nil, errNoKey
	}
	return usable, nil
}

// parseKey reads a public key. The algorithm follows from the key itself, and a key
// that names another one, or another use, is not for us (RFC 7517 section 4).
func parseKey(jwk json.RawMessage) (key, bool) {
	var said struct {
		Use        string          `json:"use"`
		Operations []string        `json:"key_ops"`
		Algorithm  string          `json:"alg"`
		ID         string          `json:"kid"`
		Private    json.RawMessage `json:"d"`
	}
	var itself struct {
		Type     string `json:"kty"`
		Curve    string `json:"crv,omitempty"`
		X        string `json:"x,omitempty"`
		Y        string `json:"y,omitempty"`
		Modulus  string `json:"n,omitempty"`
		Exponent string `json:"e,omitempty"`
	}
	if json.Unmarshal(jwk, &said) != nil || json.Unmarshal(jwk, &itself) != nil || said.Private != nil {
		return key{}, false // what was published with its private half may be anybody's
	}
	if said.Use != "" && said.Use != "sig" || said.Operations != nil && !slices.Contains(said.Operations, "verify") {
		return key{}, false
	}
	text, err := json.Marshal(itself)
	if err != nil {
		return key{}, false
	}
	var parsed jose.JSONWebKey
	if parsed.UnmarshalJSON(text) != nil || !parsed.Valid() {
		return key{}, false
	}
	k := key{id: said.ID, public: parsed.Key, method: methodOf(parsed.Key)}
	return k, k.method != nil && (said.Algorithm == "" || said.Algorithm == k.method.Alg())
}

// methodOf is the one algorithm of a key, nil where it is none of ours.
func methodOf(public any) jwt.SigningMethod {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits >= minRSABits && bits <= maxRSABits && public.N.Bit(0) == 1 && public.E >= minRSAExponent && public.E%2 == 1 {
			return signedByRSA
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			return signedByP256
		}
	}
	return nil
}

// fitting are the keys that a token may have been signed with. A token without a kid
// is one of a partner with a single key for its algorithm.
func fitting(keys []key, kid, algorithm string) []key {
	var found []key
	for _, k := range keys {
		if k.method.Alg() == algorithm && (kid == "" || k.id == kid) {
			found = append(found, k)
		}
	}
	if kid == "" && len(found) > 1 {
		return nil
	}
	return found
}
