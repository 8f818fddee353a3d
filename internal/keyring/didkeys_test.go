package keyring_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/internal/keyring"
)

func TestDIDKeysAreKeptSealedAndSignWithLowS(t *testing.T) {
	pool, admin := database(t)
	k := open(t, pool, filepath.Join(t.TempDir(), "master.key"))
	keys := keyring.NewDIDKeys(pool, k.MasterKey)
	public, keep, err := keys.New(uuid.Nil)
	if err != nil {
		t.Fatal(err)
	}
	if here, err := keys.Has(t.Context(), public); err != nil || here {
		t.Errorf("a key is stored before it was kept: %t, %v", here, err)
	}
	if err := keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(public); err != nil || !jwk.IsPublic() || !jwk.Valid() {
		t.Fatalf("%s is no public key: %v", public, err)
	}
	signer, err := keys.InstanceSigner(t.Context(), public)
	if err != nil {
		t.Fatal(err)
	}
	const size = 32
	half := new(big.Int).Rsh(jwk.Key.(*ecdsa.PublicKey).Params().N, 1)
	for i := range 64 {
		text := []byte{byte(i)}
		signature, err := signer.Sign(text)
		if err != nil || len(signature) != 2*size {
			t.Fatalf("signature of %d bytes: %v", len(signature), err)
		}
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		digest := sha256.Sum256(text)
		if !ecdsa.Verify(jwk.Key.(*ecdsa.PublicKey), digest[:], r, s) {
			t.Error("the signature does not verify")
		}
		if s.Cmp(half) > 0 {
			t.Error("s is in the upper half")
		}
	}
	var sealed []byte
	if err := admin.QueryRow(t.Context(), `SELECT sealed_private FROM did_keys`).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	point, err := jwk.Key.(*ecdsa.PublicKey).Bytes() // which a private key in PKCS #8 has in it
	if err != nil || bytes.Contains(sealed, point) {
		t.Error("the key is stored in the clear")
	}
}

// Whoever can only write to the database makes no key another's.
func TestADIDKeyOpensInItsPlaceOnly(t *testing.T) {
	pool, admin := database(t)
	file := filepath.Join(t.TempDir(), "master.key")
	k := open(t, pool, file)
	keys := keyring.NewDIDKeys(pool, k.MasterKey)
	var publics []json.RawMessage
	for _, owner := range []uuid.UUID{uuid.Nil, uuid.New()} {
		public, keep, err := keys.New(owner)
		if err != nil {
			t.Fatal(err)
		}
		if err := keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		publics = append(publics, public)
	}
	if fault, err := k.Check(t.Context(), pool, file); fault != nil || err != nil {
		t.Fatalf("check: %v, %v", fault, err)
	}
	if _, err := keys.InstanceSigner(t.Context(), publics[1]); err == nil {
		t.Error("an agent's key signs for the server")
	}
	if _, err := admin.Exec(t.Context(), `UPDATE did_keys SET agent_id = NULL`); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.InstanceSigner(t.Context(), publics[1]); !errors.Is(err, keyring.ErrTampered) {
		t.Errorf("an agent's key that was made the server's: %v, want ErrTampered", err)
	}
	if fault, err := k.Check(t.Context(), pool, file); !errors.Is(fault, keyring.ErrTampered) || err != nil {
		t.Errorf("check: %v, %v; want ErrTampered", fault, err)
	}
}

func TestKeysOfAgentsAreListedAndForgotten(t *testing.T) {
	pool, _ := database(t)
	k := open(t, pool, filepath.Join(t.TempDir(), "master.key"))
	keys := keyring.NewDIDKeys(pool, k.MasterKey)
	agent := uuid.New()
	for _, owner := range []uuid.UUID{uuid.Nil, agent} {
		_, keep, err := keys.New(owner)
		if err != nil {
			t.Fatal(err)
		}
		if err := keep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if stored, err := keys.Stored(t.Context(), time.Now().Add(-time.Hour), "", 10); err != nil || len(stored) != 0 {
		t.Errorf("made an hour ago: %v, %v", stored, err)
	}
	stored, err := keys.Stored(t.Context(), time.Now().Add(time.Hour), "", 10)
	if err != nil || len(stored) != 1 || stored[0].Agent != agent {
		t.Fatalf("listed: %v, %v; want the agent's and not the server's own", stored, err)
	}
	if err := keys.Forget(t.Context(), stored[0].KID); err != nil {
		t.Fatal(err)
	}
	if left, err := keys.Stored(t.Context(), time.Now().Add(time.Hour), "", 10); err != nil || len(left) != 0 {
		t.Errorf("after it was forgotten: %v, %v", left, err)
	}
}
