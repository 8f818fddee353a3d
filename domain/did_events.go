package domain

import "encoding/json"

// DIDCreated is stored as "did.created", schema 1: an agent has a DID document
// from here on, with its first key.
type DIDCreated struct {
	AgentID   AgentID         `json:"agentId"`
	DID       string          `json:"did"`
	KeyNumber int             `json:"keyNumber"`
	PublicKey json.RawMessage `json:"publicKeyJwk"`
	Custody   KeyCustody      `json:"custody"`
}

// DIDKeyRotated is stored as "did.key_rotated", schema 1: another key took the
// place of the one before, which holds no more.
type DIDKeyRotated struct {
	AgentID   AgentID         `json:"agentId"`
	KeyNumber int             `json:"keyNumber"`
	PublicKey json.RawMessage `json:"publicKeyJwk"`
	Custody   KeyCustody      `json:"custody"`
}

// InstanceKeyCreated is stored as "did.instance_key_created", schema 1: the server
// itself, as a DID, has this key. The newest one holds.
type InstanceKeyCreated struct {
	KeyNumber int             `json:"keyNumber"`
	PublicKey json.RawMessage `json:"publicKeyJwk"`
}

func (DIDCreated) EventType() Type         { return "did.created" }
func (DIDKeyRotated) EventType() Type      { return "did.key_rotated" }
func (InstanceKeyCreated) EventType() Type { return "did.instance_key_created" }
