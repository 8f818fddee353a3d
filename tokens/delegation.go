package tokens

import (
	"encoding/base64"
	"strings"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
)

// A delegation token is sa_del_<payload>.<signature>, both base64url without
// padding. The payload is: version (1 byte), id of the key (8), chain id (16);
// the signature is the keyring's MAC of version and chain id under that key. It
// says which delegation it is and that we made it; all else the ledger knows.
const (
	delegationPrefix  = "sa_del_" // lets people and scanners recognize a leaked one
	delegationVersion = 1

	delegationKeyAt   = 1
	delegationChainAt = delegationKeyAt + 8
	delegationSize    = delegationChainAt + 16
)

// Delegation gives the token of a delegation and, by itself, its signature.
func Delegation(keys *keyring.Keyring, id domain.DelegationID) (token, signature string) {
	keyID, mac := keys.DelegationMAC(authenticated(id))
	payload := append(append([]byte{delegationVersion}, keyID[:]...), id.UUID[:]...)
	signature = base64.RawURLEncoding.EncodeToString(mac)
	return delegationPrefix + base64.RawURLEncoding.EncodeToString(payload) + "." + signature, signature
}

// ReadDelegation gives the chain id of a token of ours. There is one way
// to write a token: whatever differs in a single bit is none.
func ReadDelegation(keys *keyring.Keyring, token string) (id domain.DelegationID, genuine bool) {
	text, prefixed := strings.CutPrefix(token, delegationPrefix)
	first, second, _ := strings.Cut(text, ".")
	payload, payloadOK := decodePart(first)
	mac, macOK := decodePart(second)
	wellFormed := prefixed && payloadOK && macOK && len(payload) == delegationSize && payload[0] == delegationVersion
	if !wellFormed {
		payload = make([]byte, delegationSize) // and go on, so that it takes the same time
	}
	id.UUID = [16]byte(payload[delegationChainAt:])
	keyID := [8]byte(payload[delegationKeyAt:delegationChainAt])
	if genuine = keys.VerifyDelegationMAC(keyID, authenticated(id), mac) && wellFormed; !genuine {
		return domain.DelegationID{}, false
	}
	return id, true
}

func authenticated(id domain.DelegationID) []byte {
	return append([]byte{delegationVersion}, id.UUID[:]...)
}

// decodePart decodes one part of a compact token, base64url without padding
// (RFC 7515 section 2). It refuses what encodes back to another text: set bits behind
// the end, and the line breaks that the decoder would skip.
func decodePart(text string) ([]byte, bool) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return data, err == nil && base64.RawURLEncoding.EncodeToString(data) == text
}
