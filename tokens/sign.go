package tokens

import (
	"encoding/json"
	"errors"

	"github.com/sentryagent/agentidp/internal/keyring"
)

// The JOSE types of our tokens.
const (
	accessType = "at+jwt" // RFC 9068 section 2.1
	idType     = "JWT"
)

// Signer signs tokens with the keys of an algorithm.
type Signer struct {
	keys *keyring.Keyring
	alg  string
}

// NewSigner makes a signer for [keyring.RS256] or [keyring.ES256]. While no key signs
// with that, it signs with another: see [keyring.Keyring.Signing].
func NewSigner(keys *keyring.Keyring, alg string) *Signer { return &Signer{keys, alg} }

// Key gives the key that signs now. Take it once for each issuance: the event
// names the key that then signs, whatever becomes the current one meanwhile.
func (s *Signer) Key() (*keyring.SigningKey, error) {
	key, err := s.keys.Signing(s.alg)
	if errors.Is(err, keyring.ErrStale) {
		return nil, ErrUndecided
	}
	return key, err
}

// SignAccess makes an access token.
func SignAccess(key *keyring.SigningKey, claims AccessClaims) (string, error) {
	return sign(key, accessType, claims)
}

// SignID makes an ID token.
func SignID(key *keyring.SigningKey, claims IDClaims) (string, error) {
	return sign(key, idType, claims)
}

func sign(key *keyring.SigningKey, typ string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return key.Sign(typ, payload)
}
