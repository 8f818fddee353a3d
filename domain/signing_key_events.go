package domain

import (
	"encoding/json"
	"time"
)

// SigningKeyCreated is stored as "signing_key.created", schema 1: the public
// half of a key that tokens are signed with. From then on the key is published.
type SigningKeyCreated struct {
	KeyID     string          `json:"kid"`
	Algorithm string          `json:"alg"`
	PublicKey json.RawMessage `json:"publicJwk"`
	// VerifyOnly: nobody here has the private half, so it never signs.
	VerifyOnly bool `json:"verifyOnly,omitempty"`
}

func (SigningKeyCreated) EventType() Type { return "signing_key.created" }

// SigningKeyActivated is stored as "signing_key.activated", schema 1: from now on
// tokens of its algorithm are signed with the key.
type SigningKeyActivated struct {
	KeyID     string `json:"kid"`
	Algorithm string `json:"alg"`
	// ServedSince is since when every live server had the key in its JWKS. It is nil
	// where nobody waited for that.
	ServedSince *time.Time `json:"servedSince,omitempty"`
}

func (SigningKeyActivated) EventType() Type { return "signing_key.activated" }

// SigningKeyRetired is stored as "signing_key.retired", schema 1: the key signs no
// more. What it has signed still verifies, unless it was retired at once: then all
// its tokens have ended, those included that are signed after this.
type SigningKeyRetired struct {
	KeyID     string `json:"kid"`
	Algorithm string `json:"alg"`
	AtOnce    bool   `json:"atOnce,omitempty"`
}

func (SigningKeyRetired) EventType() Type { return "signing_key.retired" }

// SigningKeyRemoved is stored as "signing_key.removed", schema 1: the key verifies
// nothing any more, and its private half is destroyed.
type SigningKeyRemoved struct {
	KeyID     string `json:"kid"`
	Algorithm string `json:"alg"`
}

func (SigningKeyRemoved) EventType() Type { return "signing_key.removed" }
