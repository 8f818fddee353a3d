package clientauth

import (
	"encoding/json"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sentryagent/agentidp/domain"
)

// signingCredential finds the credential whose key has signed an assertion. Only keys are
// tried that could let the client in, and of those only the one that the
// assertion names, so that nobody makes this server work for keys of the past.
func (cs *Clients) signingCredential(agent domain.Agent, a assertion) (domain.Credential, error) {
	candidates, refusal := cs.candidates(agent, a.keyID)
	for _, credential := range candidates {
		if cs.signedBy(a, credential.PublicKey) {
			return credential, nil
		}
	}
	return domain.Credential{}, &domain.AuthError{Reason: refusal}
}

// candidates are the usable keys with the kid of the assertion; where none has
// it those without a kid, and all of them where the assertion has none. The
// refusal is for when none of them fits: it tells of an end only where the kid
// names a key that has ended.
func (cs *Clients) candidates(agent domain.Agent, keyID string) (candidates []domain.Credential, refusal domain.AuthReason) {
	refusal = domain.AuthBadAssertion
	var named, nameless []domain.Credential
	now := cs.now()
	for _, c := range agent.Credentials {
		switch {
		case c.Kind != domain.KeyCredential:
		case c.UsableAt(now) && (keyID == "" || c.KeyID == keyID):
			named = append(named, c)
		case c.UsableAt(now) && c.KeyID == "":
			nameless = append(nameless, c)
		case keyID == "" || c.KeyID != keyID:
		case c.StatusAt(now) == domain.CredentialIsRevoked:
			refusal = domain.AuthCredentialRevoked
		case c.StatusAt(now) == domain.CredentialIsExpired:
			refusal = domain.AuthCredentialExpired
		}
	}
	if len(named) == 0 {
		return nameless, refusal
	}
	return named, domain.AuthBadAssertion
}

// signedBy reports whether an assertion was signed with the private half of a
// key, a JWK.
func (cs *Clients) signedBy(a assertion, jwk json.RawMessage) bool {
	key, err := cs.clientKey(jwk)
	if err != nil || !slices.Contains(algorithmsOf(key), a.algorithm) {
		return false
	}
	method := jwt.GetSigningMethod(a.algorithm)
	if a.algorithm == "Ed25519" { // what RFC 9864 calls EdDSA with this curve
		method = jwt.SigningMethodEdDSA
	}
	return method != nil && method.Verify(a.text, a.signature, key.Key) == nil
}

// clientKey reads a JWK, or remembers what was read before: the same text is
// the same key for ever.
func (cs *Clients) clientKey(jwk json.RawMessage) (jose.JSONWebKey, error) {
	if key, known := cs.clientKeys.Get(string(jwk)); known {
		return key, nil
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(jwk); err != nil {
		return key, err
	}
	cs.clientKeys.Add(string(jwk), key)
	return key, nil
}
