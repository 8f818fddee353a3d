package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

const (
	masterKeySize = 32
	keyIDSize     = 8

	purposeSealing    = "agentidp/sealing/1"
	purposeVerifier   = "agentidp/credential-verifier/1"
	purposeDelegation = "agentidp/delegation-token/1"
	purposeCheckpoint = "agentidp/checkpoint/1"
)

// MasterKey is the root secret and the keys derived from it. It is immutable and safe for concurrent use.
type MasterKey struct {
	sealingID     [keyIDSize]byte
	sealing       cipher.AEAD
	verifierID    [keyIDSize]byte
	verifierKey   []byte
	delegationID  [keyIDSize]byte
	delegationKey []byte
	checkpointKey ed25519.PrivateKey
}

// CheckpointKey signs the checkpoints of the ledger and nothing else. It is derived, and not kept in the database as the
// signing keys of tokens are: whoever has the database alone can neither sign with it nor replace it.
func (m *MasterKey) CheckpointKey() ed25519.PrivateKey { return m.checkpointKey }

// KeyID names the key that [MasterKey.Seal] uses: 16 hex digits, safe to log.
func (m *MasterKey) KeyID() string { return hex.EncodeToString(m.sealingID[:]) }

func newMasterKey(secret []byte) (*MasterKey, error) {
	if len(secret) != masterKeySize {
		return nil, fmt.Errorf("%w: %d bytes, must be %d", ErrMasterKeyFile, len(secret), masterKeySize)
	}
	root, err := hkdf.Extract(sha256.New, secret, nil)
	if err != nil {
		return nil, err
	}
	m := &MasterKey{}
	var sealingKey []byte
	if sealingKey, m.sealingID, err = derive(root, purposeSealing); err != nil {
		return nil, err
	}
	if m.verifierKey, m.verifierID, err = derive(root, purposeVerifier); err != nil {
		return nil, err
	}
	if m.delegationKey, m.delegationID, err = derive(root, purposeDelegation); err != nil {
		return nil, err
	}
	seed, _, err := derive(root, purposeCheckpoint)
	if err != nil {
		return nil, err
	}
	m.checkpointKey = ed25519.NewKeyFromSeed(seed)
	block, err := aes.NewCipher(sealingKey)
	if err != nil {
		return nil, err
	}
	m.sealing, err = cipher.NewGCMWithRandomNonce(block)
	return m, err
}

// derive gives the key for a purpose and its id. The id comes from a derivation of its own, so publishing it gives
// away nothing about the key.
func derive(root []byte, purpose string) (key []byte, id [keyIDSize]byte, err error) {
	if key, err = hkdf.Expand(sha256.New, root, purpose, 32); err != nil {
		return nil, id, err
	}
	idBytes, err := hkdf.Expand(sha256.New, root, purpose+"/id", keyIDSize)
	copy(id[:], idBytes)
	return key, id, err
}
