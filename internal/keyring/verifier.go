package keyring

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Verifier recognizes a secret without containing it: HMAC-SHA-256 under the key named by KeyID.
type Verifier struct {
	KeyID string
	MAC   []byte // 32 bytes; compare with [hmac.Equal]
}

// CredentialVerifier gives the verifier to store for a new secret. It suits secrets of 256 random bits alone: a keyed
// hash is fast, for the server and for whoever would guess a weak secret with the key in hand.
func (m *MasterKey) CredentialVerifier(secret string) (keyID string, mac []byte) {
	h := hmac.New(sha256.New, m.verifierKey)
	h.Write([]byte(secret))
	return hex.EncodeToString(m.verifierID[:]), h.Sum(nil)
}

// Verifiers gives the verifiers of a presented secret under every key that stored ones may have been made with, the
// newest first. A credential matches when one of them has its key id and MAC.
func (m *MasterKey) Verifiers(secret string) []Verifier {
	id, mac := m.CredentialVerifier(secret)
	return []Verifier{{KeyID: id, MAC: mac}}
}
