package keyring_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sentryagent/agentidp/internal/keyring"
)

func masterKey(tb testing.TB) *keyring.MasterKey {
	tb.Helper()
	key, err := keyring.LoadOrCreateMasterKey(filepath.Join(tb.TempDir(), "keys", "master.key"))
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func TestMasterKeyFileIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys", "master.key")
	if _, err := keyring.LoadMasterKey(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadMasterKey of nothing: %v, want fs.ErrNotExist", err)
	}
	const processes = 16
	ids := make([]string, processes)
	var wg sync.WaitGroup
	for n := range processes {
		wg.Go(func() {
			key, err := keyring.LoadOrCreateMasterKey(path)
			if err != nil {
				t.Error(err)
				return
			}
			ids[n] = key.KeyID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || len(id) != 16 {
			t.Fatalf("key ids %q, want one and the same", ids)
		}
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (%v)", name, info.Mode().Perm(), want, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %q (%v)", left, err)
	}
}

func TestUnusableMasterKeyFilesAreRefusedAndNotQuoted(t *testing.T) {
	t.Parallel()
	good := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, tc := range []struct {
		name, text string
		mode       os.FileMode
	}{
		{"readable by others", good, 0o604},
		{"readable by everybody", good, 0o644},
		{"writable by others", good, 0o602},
		{"short", good[:24], 0o600},
		{"long", good[:40] + good, 0o600},
		{"no base64", strings.Repeat("!", 44), 0o600},
		{"empty", "", 0o600},
	} {
		path := filepath.Join(t.TempDir(), "master.key")
		if err := errors.Join(os.WriteFile(path, []byte(tc.text), tc.mode), os.Chmod(path, tc.mode)); err != nil {
			t.Fatal(err)
		}
		_, err := keyring.LoadOrCreateMasterKey(path)
		if !errors.Is(err, keyring.ErrMasterKeyFile) {
			t.Errorf("%s: %v, want ErrMasterKeyFile", tc.name, err)
		} else if tc.text != "" && strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: the error quotes the file: %v", tc.name, err)
		}
	}
	if _, err := keyring.LoadOrCreateMasterKey(t.TempDir()); !errors.Is(err, keyring.ErrMasterKeyFile) {
		t.Errorf("a directory: %v, want ErrMasterKeyFile", err)
	}
}

// TestMasterKeyOnAVolumeOpensAtEveryStart: Kubernetes adds 0660 to the mode of every file of a volume with an fsGroup,
// or 0440 where the volume is read-only, and gives the files to that group. The manifest runs the server as that group.
func TestMasterKeyOnAVolumeOpensAtEveryStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	first, err := keyring.LoadOrCreateMasterKey(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o660, 0o440, 0o640, 0o600, 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		again, err := keyring.LoadOrCreateMasterKey(path)
		if err != nil || again.KeyID() != first.KeyID() {
			t.Errorf("mode %#o: %v, want the key of the first start", mode, err)
		}
	}
}

func TestMasterKeyOfAnotherGroupIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	if _, err := keyring.LoadOrCreateMasterKey(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, -1, os.Getegid()+1); err != nil {
		t.Skipf("a file can be given to another group by root alone: %v", err)
	}
	for _, mode := range []os.FileMode{0o660, 0o440, 0o640, 0o620, 0o610} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keyring.LoadMasterKey(path); !errors.Is(err, keyring.ErrMasterKeyFile) {
			t.Errorf("mode %#o: %v, want ErrMasterKeyFile", mode, err)
		}
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.LoadMasterKey(path); err != nil {
		t.Errorf("mode 0600, whatever the group: %v", err)
	}
}

func TestSealedValuesOpenOnlyAsTheyWereSealed(t *testing.T) {
	t.Parallel()
	key := masterKey(t)
	plaintext, aad := []byte("a private key"), []byte("kid-1")
	envelope, err := key.Seal(plaintext, aad)
	if err != nil {
		t.Fatal(err)
	}
	got, err := key.Open(envelope, aad)
	if err != nil || !bytes.Equal(got, plaintext) {
		t.Fatalf("Open = %q, %v, want %q", got, err, plaintext)
	}
	again, err := key.Seal(plaintext, aad)
	if err != nil || bytes.Equal(again, envelope) {
		t.Errorf("sealing twice gives the same envelope (%v)", err)
	}
	for at := range envelope {
		changed := bytes.Clone(envelope)
		changed[at] ^= 1
		if _, err := key.Open(changed, aad); err == nil {
			t.Errorf("opens with byte %d changed", at)
		}
	}
	for n := range envelope {
		if _, err := key.Open(envelope[:n], aad); err == nil {
			t.Errorf("opens when cut to %d bytes", n)
		}
	}
	if _, err := key.Open(envelope, []byte("kid-2")); !errors.Is(err, keyring.ErrTampered) {
		t.Errorf("other aad: %v, want ErrTampered", err)
	}
	if _, err := masterKey(t).Open(envelope, aad); !errors.Is(err, keyring.ErrWrongMasterKey) {
		t.Errorf("other master key: %v, want ErrWrongMasterKey", err)
	}
}

// A stored verifier must be recognized for ever: the derivation never changes.
func TestDerivationsAreFixed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(path, []byte("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := keyring.LoadMasterKey(path)
	if err != nil {
		t.Fatal(err)
	}
	id, mac := key.CredentialVerifier("sk_live_example")
	got := []string{key.KeyID(), id, base64.StdEncoding.EncodeToString(mac)}
	want := []string{"6f8f7bab5dcf8274", "aeea20eef7676a38", "HGHgJADMOmoYJ1Ro1rwvWkGQm9Z/SqdSIlx2UTVylqQ="}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: got %q, want %q", i, got[i], want[i])
		}
	}
	delegationID, delegationMAC := key.DelegationMAC([]byte("example"))
	if got, want := hex.EncodeToString(delegationID[:])+" "+base64.StdEncoding.EncodeToString(delegationMAC), "aec9a2aa6e486302 +BJpugoQ8AbLn+FYZD0yy06Unxw5SY+B3A025YxNmCk="; got != want {
		t.Errorf("DelegationMAC: got %q, want %q", got, want)
	}
	verifiers := key.Verifiers("sk_live_example")
	if len(verifiers) != 1 || verifiers[0].KeyID != id || !bytes.Equal(verifiers[0].MAC, mac) {
		t.Errorf("Verifiers = %v, want the one of CredentialVerifier", verifiers)
	}
}

func TestDelegationMACIsKnownByItsKeyAndEveryBit(t *testing.T) {
	t.Parallel()
	key, other := masterKey(t), masterKey(t)
	payload := []byte("chain-1")
	id, mac := key.DelegationMAC(payload)
	if !key.VerifyDelegationMAC(id, payload, mac) {
		t.Fatal("its own MAC does not verify")
	}
	if otherID, otherMAC := other.DelegationMAC(payload); otherID == id || bytes.Equal(otherMAC, mac) || key.VerifyDelegationMAC(otherID, payload, otherMAC) {
		t.Error("the MAC of another master key verifies, or cannot be told apart")
	}
	if key.VerifyDelegationMAC(id, []byte("chain-2"), mac) || key.VerifyDelegationMAC(id, payload, mac[:31]) || key.VerifyDelegationMAC(id, payload, nil) {
		t.Error("a MAC verifies for another payload, or when it is cut off")
	}
	for bit := range len(mac) * 8 {
		changed := bytes.Clone(mac)
		changed[bit/8] ^= 1 << (bit % 8)
		if key.VerifyDelegationMAC(id, payload, changed) {
			t.Errorf("verifies with bit %d flipped", bit)
		}
	}
	for bit := range len(id) * 8 {
		changed := id
		changed[bit/8] ^= 1 << (bit % 8)
		if key.VerifyDelegationMAC(changed, payload, mac) {
			t.Errorf("verifies with bit %d of the key id flipped", bit)
		}
	}
}
