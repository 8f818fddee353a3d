package domain

import "encoding/json"

// SigningKeyCreated is stored as "signing_key.created", schema 1: the public
// half of a key that tokens are signed with.
type SigningKeyCreated struct {
	KeyID     string          `json:"kid"`
	Algorithm string          `json:"alg"`
	PublicKey json.RawMessage `json:"publicJwk"`
}

func (SigningKeyCreated) EventType() Type { return "signing_key.created" }
