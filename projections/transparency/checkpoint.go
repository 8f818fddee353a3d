package transparency

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/google/uuid"
	formats "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint says of a log that at a size it had a root hash.
type Checkpoint struct {
	Origin string // names the log to the world
	Size   int64
	Root   tlog.Hash
}

// ErrCheckpoint: bytes that are no checkpoint of the log, signed by its key.
var ErrCheckpoint = errors.New("not a checkpoint signed by the log's key")

// Origin is what a log is called (C2SP tlog-checkpoint), under the host of this
// instance.
func Origin(host string, id uuid.UUID) string {
	if id == Whole {
		return host + "/ledger"
	}
	return originPrefix(host) + id.String()
}

// originPrefix is what the origins of organizations' logs begin with.
func originPrefix(host string) string { return host + "/org/" }

// VerifierKey is the key that checkpoints of an origin are verified with, as
// C2SP signed-note writes it: what an auditor pins.
func VerifierKey(origin string, key ed25519.PublicKey) (string, error) {
	return note.NewEd25519VerifierKey(origin, key)
}

// OpenCheckpoint reads a signed checkpoint and verifies the log's signature;
// verifierKey names the origin that it must have. The error is [ErrCheckpoint].
func OpenCheckpoint(signed []byte, verifierKey string) (Checkpoint, error) {
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: the verifier key: %w", ErrCheckpoint, err)
	}
	parsed, _, _, err := formats.ParseCheckpoint(signed, verifier.Name(), verifier)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	c := Checkpoint{Origin: parsed.Origin, Size: int64(parsed.Size)}
	if len(parsed.Hash) != len(c.Root) || c.Size < 0 {
		return Checkpoint{}, fmt.Errorf("%w: no size and root hash", ErrCheckpoint)
	}
	copy(c.Root[:], parsed.Hash)
	return c, nil
}

// sign makes the signed note. Ed25519 is deterministic: the same checkpoint
// under the same key gives the same bytes.
func (c Checkpoint) sign(key ed25519.PrivateKey) ([]byte, error) {
	public, _ := key.Public().(ed25519.PublicKey)
	text, err := VerifierKey(c.Origin, public)
	if err != nil {
		return nil, fmt.Errorf("sign for %q: %w", c.Origin, err)
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return nil, fmt.Errorf("sign for %q: %w", c.Origin, err)
	}
	body := formats.Checkpoint{Origin: c.Origin, Size: uint64(c.Size), Hash: c.Root[:]}
	return note.Sign(&note.Note{Text: string(body.Marshal())}, signer{verifier, key})
}

// signer is a key under the name of a log.
type signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

// Sign implements [note.Signer].
func (s signer) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.key, message), nil }
