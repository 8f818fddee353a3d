package transparency

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
)

// Identity is what auditors know the logs of one instance by: their origins, and
// the public half of the key that signs for all of them.
type Identity struct {
	host string
	key  ed25519.PublicKey
}

// Origin is what a log is called.
func (i Identity) Origin(id uuid.UUID) string { return Origin(i.host, id) }

// VerifierKey is what to verify a log's checkpoints with.
func (i Identity) VerifierKey(id uuid.UUID) string {
	text, err := VerifierKey(i.Origin(id), i.key)
	if err != nil {
		panic(err) // neither the configuration nor ParseIdentity allows a host that is no name
	}
	return text
}

// ErrIdentity: a key that is not of the log of a whole ledger or of an
// organization.
var ErrIdentity = errors.New("not the verifier key of a ledger's log")

// ParseIdentity finds it in the verifier key of any log of the instance.
func ParseIdentity(verifierKey string) (Identity, error) {
	const ed25519Algorithm = 1 // of C2SP signed-note
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return Identity{}, errors.Join(ErrIdentity, err)
	}
	_, encoded, _ := strings.Cut(strings.TrimPrefix(verifierKey, verifier.Name()+"+"), "+")
	key, err := base64.StdEncoding.DecodeString(encoded)
	public, is := bytes.CutPrefix(key, []byte{ed25519Algorithm})
	if err != nil || !is || len(public) != ed25519.PublicKeySize {
		return Identity{}, ErrIdentity
	}
	if host, whole := strings.CutSuffix(verifier.Name(), Origin("", Whole)); whole && host != "" {
		return Identity{host, public}, nil
	}
	if at := strings.LastIndex(verifier.Name(), originPrefix("")); at > 0 {
		if id, err := uuid.Parse(verifier.Name()[at+len(originPrefix("")):]); err == nil && verifier.Name() == Origin(verifier.Name()[:at], id) {
			return Identity{verifier.Name()[:at], public}, nil
		}
	}
	return Identity{}, ErrIdentity
}
