package domain

import (
	"crypto/subtle"
	"encoding/json"
	"slices"
	"time"
)

// CredentialKind says how a credential is used to authenticate.
type CredentialKind string

const (
	// SecretCredential is a client secret (RFC 6749 section 2.3.1).
	SecretCredential CredentialKind = "client_secret"
	// KeyCredential is a public key for signed assertions (RFC 7523 section 2.2).
	KeyCredential CredentialKind = "private_key_jwt"
)

// CredentialStatus is where a credential is in its life. Whether it has expired
// is a matter of the time alone, see [Credential.UsableAt]; the status says so
// once that has been put on record.
type CredentialStatus string

const (
	CredentialActive    CredentialStatus = "active"
	CredentialIsExpired CredentialStatus = "expired"
	CredentialIsRevoked CredentialStatus = "revoked"
)

// Verifier recognizes a secret without holding it: a keyed hash and the id of
// the key, which is not in the ledger.
type Verifier struct {
	KeyID string `json:"keyId"`
	MAC   []byte `json:"mac"`
}

// Credential is one way for an agent to authenticate.
type Credential struct {
	ID        CredentialID
	Kind      CredentialKind
	Status    CredentialStatus
	Verifier  Verifier        // of a client secret
	PublicKey json.RawMessage `json:",omitempty"` // of a key: a JWK
	KeyID     string          `json:",omitempty"` // the kid of that JWK; stays when the key itself is forgotten
	CreatedAt time.Time
	RotatedAt time.Time // zero when it never was
	RevokedAt time.Time // zero when it is not
	ExpiresAt time.Time // zero when it does not
	Era       int       `json:",omitempty"` // of the organization when it was made, see [OrganizationAccessRevoked]
}

// UsableAt reports whether the credential may authenticate at that time.
func (c Credential) UsableAt(at time.Time) bool {
	return c.Status == CredentialActive && (c.ExpiresAt.IsZero() || at.Before(c.ExpiresAt))
}

// StatusAt is the status with the time taken into account, whether or not the
// expiry has been put on record.
func (c Credential) StatusAt(at time.Time) CredentialStatus {
	if c.Status == CredentialActive && !c.UsableAt(at) {
		return CredentialIsExpired
	}
	return c.Status
}

// matches compares in constant time. Verifiers holds the presented secret
// under every key that may have been used.
func (c Credential) matches(presented []Verifier) bool {
	if len(c.Verifier.MAC) == 0 {
		return false
	}
	for _, p := range presented {
		if p.KeyID == c.Verifier.KeyID && subtle.ConstantTimeCompare(p.MAC, c.Verifier.MAC) == 1 {
			return true
		}
	}
	return false
}

// CredentialGenerated is stored as "credential.generated", schema 1. Era is what
// was known of the organization's when this was decided. So a credential that was
// under way while all were ended has ended with them, on whichever side of that it
// stands in the ledger.
type CredentialGenerated struct {
	AgentID      AgentID         `json:"agentId"`
	CredentialID CredentialID    `json:"credentialId"`
	Kind         CredentialKind  `json:"kind"`
	Verifier     *Verifier       `json:"verifier,omitempty"`
	PublicKey    json.RawMessage `json:"publicKeyJwk,omitempty"`
	ExpiresAt    *time.Time      `json:"expiresAt,omitempty"`
	Era          int             `json:"era,omitempty"`
}

// CredentialRotated is stored as "credential.rotated", schema 1. It ends the
// old secret, every token issued under it and, unless they are kept, every
// delegation made with it.
type CredentialRotated struct {
	AgentID      AgentID         `json:"agentId"`
	CredentialID CredentialID    `json:"credentialId"`
	Verifier     *Verifier       `json:"verifier,omitempty"`
	PublicKey    json.RawMessage `json:"publicKeyJwk,omitempty"`
	ExpiresAt    *time.Time      `json:"expiresAt,omitempty"`
	// DelegationsKept says that the delegations made with the credential live on.
	DelegationsKept bool `json:"delegationsKept,omitempty"`
}

// CredentialRevoked is stored as "credential.revoked", schema 1. It ends every
// token issued under the credential, and every delegation made with it.
type CredentialRevoked struct {
	AgentID      AgentID      `json:"agentId"`
	CredentialID CredentialID `json:"credentialId"`
	Reason       string       `json:"reason"`
}

// CredentialExpired is stored as "credential.expired", schema 1. It puts on
// record that the time of a credential ran out. It ends nothing that had not
// ended by itself, and no token: those issued before are good until they expire.
type CredentialExpired struct {
	AgentID      AgentID      `json:"agentId"`
	CredentialID CredentialID `json:"credentialId"`
	ExpiredAt    time.Time    `json:"expiredAt"`
}

func (CredentialGenerated) EventType() Type { return "credential.generated" }
func (CredentialRotated) EventType() Type   { return "credential.rotated" }
func (CredentialRevoked) EventType() Type   { return "credential.revoked" }
func (CredentialExpired) EventType() Type   { return "credential.expired" }

// keyID is the kid of a JWK, empty when it has none.
func keyID(jwk json.RawMessage) string {
	var named struct {
		KeyID string `json:"kid"`
	}
	if len(jwk) > 0 {
		_ = json.Unmarshal(jwk, &named) // what is no JWK has no kid
	}
	return named.KeyID
}

// WithoutDead is the agent without what nobody can authenticate with any more:
// the keys of credentials that have ended, and the verifiers of revoked ones.
// That they were there, and how they ended, stays. No decision changes by it,
// but an agent with a long past is as quick to load and to look at as another.
func (a Agent) WithoutDead() Agent {
	a.Credentials = slices.Clone(a.Credentials)
	for i := range a.Credentials {
		c := &a.Credentials[i]
		switch c.Status {
		case CredentialIsRevoked:
			c.Verifier, c.PublicKey = Verifier{}, nil
		case CredentialIsExpired: // that an expired secret is still in use is worth a record
			c.PublicKey = nil
		}
	}
	return a
}

// evolveCredentials never writes to the slice it is given: older states share it.
// Nothing changes a credential that is revoked. An event that would has been
// decided by who did not know yet that the organization had ended all of them.
func evolveCredentials(credentials []Credential, e Event, at time.Time) []Credential {
	credentials = slices.Clone(credentials)
	find := func(id CredentialID) *Credential {
		i := slices.IndexFunc(credentials, func(c Credential) bool { return c.ID == id })
		if i < 0 || credentials[i].Status == CredentialIsRevoked {
			return &Credential{} // changed in vain: Evolve never fails
		}
		return &credentials[i]
	}
	switch e := e.(type) {
	case CredentialGenerated:
		c := Credential{
			ID: e.CredentialID, Kind: e.Kind, Status: CredentialActive, PublicKey: e.PublicKey, KeyID: keyID(e.PublicKey), CreatedAt: at, Era: e.Era,
		}
		set(&c.Verifier, e.Verifier)
		set(&c.ExpiresAt, e.ExpiresAt)
		return append(credentials, c)
	case CredentialRotated:
		c := find(e.CredentialID)
		c.PublicKey, c.KeyID, c.RotatedAt, c.ExpiresAt = e.PublicKey, keyID(e.PublicKey), at, time.Time{}
		c.Status = CredentialActive // it may come back from expiry
		set(&c.Verifier, e.Verifier)
		set(&c.ExpiresAt, e.ExpiresAt)
	case CredentialRevoked:
		c := find(e.CredentialID)
		c.Status, c.RevokedAt = CredentialIsRevoked, at
	case CredentialExpired:
		find(e.CredentialID).Status = CredentialIsExpired
	}
	return credentials
}
