package domain

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// KeyCustody says who has the private half of a DID's key.
type KeyCustody string

const (
	CustodyAgent  KeyCustody = "agent"  // the agent brought the key, and nobody else has it
	CustodyServer KeyCustody = "server" // the server made it, and keeps it sealed
)

// MaxRetiredKeys is how many keys of the past an agent's DID remembers.
const MaxRetiredKeys = 32

// DIDKeys are the keys of an agent's DID over time. Without any, the agent has no
// DID document yet.
type DIDKeys struct {
	DID       string
	CreatedAt time.Time // zero while there are none
	Current   DIDKey    // zero when none holds
	Retired   []DIDKey  // the newest [MaxRetiredKeys], newest last
}

// DIDKey is one key of a DID, on P-256.
type DIDKey struct {
	Number    int             // counts from 1, and is never used again
	PublicKey json.RawMessage `json:",omitempty"` // JWK in the form of [NormalDIDKey]
	Custody   KeyCustody
	CreatedAt time.Time
	RevokedAt time.Time // zero while it holds
}

// Fragment is what the key is called within its DID.
func (k DIDKey) Fragment() string { return "#key-" + strconv.Itoa(k.Number) }

// Exist reports whether the DID was ever made.
func (k DIDKeys) Exist() bool { return !k.CreatedAt.IsZero() }

// UpdatedAt is when the keys changed last.
func (k DIDKeys) UpdatedAt() time.Time {
	if k.Current.Number > 0 {
		return k.Current.CreatedAt
	}
	if n := len(k.Retired); n > 0 {
		return k.Retired[n-1].RevokedAt
	}
	return k.CreatedAt
}

// Evolve applies an event recorded at the given time.
func (k DIDKeys) Evolve(e Event, at time.Time) DIDKeys {
	switch e := e.(type) {
	case DIDCreated:
		k.DID, k.CreatedAt = e.DID, at
		k.Current = DIDKey{Number: e.KeyNumber, PublicKey: e.PublicKey, Custody: e.Custody, CreatedAt: at}
	case DIDKeyRotated:
		k = k.Ended(at)
		k.Current = DIDKey{Number: e.KeyNumber, PublicKey: e.PublicKey, Custody: e.Custody, CreatedAt: at}
	case AgentDecommissioned:
		return k.Ended(at)
	}
	return k
}

// Ended are the keys when none holds any more from a moment on.
func (k DIDKeys) Ended(at time.Time) DIDKeys {
	if k.Current.Number == 0 {
		return k
	}
	last := k.Current
	last.RevokedAt = at
	from := max(0, len(k.Retired)+1-MaxRetiredKeys)
	k.Retired = append(slices.Clone(k.Retired[from:]), last)
	k.Current = DIDKey{}
	return k
}

func (k DIDKeys) wasRetired(key json.RawMessage) bool {
	return slices.ContainsFunc(k.Retired, func(old DIDKey) bool { return bytes.Equal(old.PublicKey, key) })
}

// NormalDIDKey gives the one way to write a public key on P-256: its four members
// in the order of RFC 7638, so that equal keys are equal texts. Whether the point
// is on the curve is for those to look at who can calculate.
func NormalDIDKey(jwk json.RawMessage) (json.RawMessage, error) {
	var key struct {
		Crv string `json:"crv"`
		Kty string `json:"kty"`
		X   string `json:"x"`
		Y   string `json:"y"`
	}
	if err := json.Unmarshal(jwk, &key); err != nil {
		return nil, Invalid("publicKeyJwk", "must be a JSON Web Key", nil)
	}
	if key.Kty != "EC" || key.Crv != "P-256" {
		return nil, Invalid("publicKeyJwk", `must be a key on P-256: kty "EC", crv "P-256"`, []string{"P-256"})
	}
	for _, c := range []struct{ name, value string }{{"x", key.X}, {"y", key.Y}} {
		if decoded, err := base64.RawURLEncoding.Strict().DecodeString(c.value); err != nil || len(decoded) != coordinateSize {
			return nil, Invalid("publicKeyJwk."+c.name, "must be 32 bytes in base64url without padding", nil)
		}
	}
	return marshal(key)
}

const coordinateSize = 32 // of P-256, RFC 7518 section 6.2.1.2
