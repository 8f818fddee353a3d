package transparency

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/google/uuid"
)

// Who has pinned the key of one log has those of all logs of the instance.
func TestAnIdentityIsInTheKeyOfAnyLog(t *testing.T) {
	t.Parallel()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed := Identity{"id.example:8443", public}
	for _, of := range []uuid.UUID{Whole, uuid.New()} {
		got, err := ParseIdentity(signed.VerifierKey(of))
		for _, id := range []uuid.UUID{Whole, of, uuid.New()} {
			if err != nil || got.VerifierKey(id) != signed.VerifierKey(id) || got.Origin(id) != signed.Origin(id) {
				t.Errorf("from the key of %s: %v, %v; want the key of %s too", of, got, err, id)
			}
		}
	}
	for _, name := range []string{"witness.example", "/ledger", "id.example/org/acme", "id.example/org/" + Whole.String(), "/org/" + uuid.NewString()} {
		key, err := VerifierKey(name, public)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseIdentity(key); !errors.Is(err, ErrIdentity) {
			t.Errorf("the key of %s: %v, %v; want it refused", name, got, err)
		}
	}
	if _, err := ParseIdentity("id.example/ledger+00000000+AAAA"); !errors.Is(err, ErrIdentity) {
		t.Errorf("a damaged key: %v", err)
	}
}
