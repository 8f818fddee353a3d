package domain

import (
	"bytes"
	"encoding/json"
	"time"
)

// CreateDID gives an agent its DID's first key, made by the server. One that has a
// DID, or is gone, is left as it is.
type CreateDID struct {
	DID       string // for an agent that was registered without one
	PublicKey json.RawMessage
}

func (c CreateDID) decide(a Agent) ([]Event, error) {
	if !a.Exists() || a.Status == AgentIsGone || a.Keys.Exist() {
		return nil, nil
	}
	key, err := NormalDIDKey(c.PublicKey)
	if err != nil {
		return nil, err
	}
	return []Event{firstKey(a.ID, a.did(c.DID), key, CustodyServer)}, nil
}

func firstKey(id AgentID, did string, key json.RawMessage, custody KeyCustody) DIDCreated {
	return DIDCreated{AgentID: id, DID: did, KeyNumber: 1, PublicKey: key, Custody: custody}
}

// did is what the agent was registered with, another where that was nothing.
func (a Agent) did(otherwise string) string {
	if a.DID == "" {
		return otherwise
	}
	return a.DID
}

// RotateDIDKey has another key take the place of the one that an agent's DID has.
// Where it has none the key is its first. The key that holds already changes
// nothing, and one that was retired stays out of trust.
//
// Since, where it is not zero, is from when on the command may have been repeated
// because it was taken for dead: it replaces no key of the server's that is newer.
type RotateDIDKey struct {
	Caller    Caller
	DID       string // for an agent that was registered without one
	PublicKey json.RawMessage
	Custody   KeyCustody
	Since     time.Time
}

func (c RotateDIDKey) decide(a Agent) ([]Event, error) {
	if err := a.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if err := c.mayRotate(a); err != nil {
		return nil, err
	}
	key, err := NormalDIDKey(c.PublicKey)
	if err != nil {
		return nil, err
	}
	current := a.Keys.Current
	repeated := c.Custody == CustodyServer && !c.Since.IsZero() && current.Custody == CustodyServer && current.CreatedAt.After(c.Since)
	switch {
	case !a.Keys.Exist():
		return []Event{firstKey(a.ID, a.did(c.DID), key, c.Custody)}, nil
	case bytes.Equal(current.PublicKey, key), repeated:
		return nil, nil
	case a.Keys.wasRetired(key):
		return nil, Invalid("publicKeyJwk", "was this agent's and is out of trust for good; make a new pair", nil)
	}
	return []Event{DIDKeyRotated{AgentID: a.ID, KeyNumber: current.Number + 1, PublicKey: key, Custody: c.Custody}}, nil
}

// mayRotate: whoever brings a key can speak for the agent with it for as long as
// it holds, as with a credential. A key that the server keeps gives nobody
// anything, but it ends the one before.
func (c RotateDIDKey) mayRotate(a Agent) error {
	if c.Custody == CustodyAgent {
		return a.mayBeOpenedBy(c.Caller)
	}
	return a.mayBeRevivedBy(c.Caller)
}
