package tokens

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
)

func someKeyring(tb testing.TB) *keyring.Keyring {
	tb.Helper()
	master, err := keyring.LoadOrCreateMasterKey(filepath.Join(tb.TempDir(), "master.key"))
	if err != nil {
		tb.Fatal(err)
	}
	return &keyring.Keyring{MasterKey: master}
}

func TestDelegationTokenHasOneForm(t *testing.T) {
	t.Parallel()
	keys, id := someKeyring(t), domain.DelegationID{UUID: uuid.New()}
	token, signature := Delegation(keys, id)
	if got, genuine := ReadDelegation(keys, token); !genuine || got != id {
		t.Fatalf("%s reads as %s, %v; want %s", token, got, genuine, id)
	}
	if !strings.HasSuffix(token, "."+signature) || len(signature) != 43 {
		t.Errorf("%s does not end in its signature %s", token, signature)
	}
	refused := func(name, changed string) {
		t.Helper()
		if got, genuine := ReadDelegation(keys, changed); genuine || !got.IsZero() {
			t.Errorf("%s: %q reads as %s, %v", name, changed, got, genuine)
		}
	}
	for bit := range len(token) * 8 {
		changed := []byte(token)
		changed[bit/8] ^= 1 << (bit % 8)
		refused("a flipped bit", string(changed))
	}
	for n := range len(token) {
		refused("cut off", token[:n])
		refused("a line break", token[:n]+"\n"+token[n:])
		refused("a carriage return", token[:n]+"\r"+token[n:])
	}
	payload := strings.TrimSuffix(strings.TrimPrefix(token, "sa_del_"), "."+signature)
	refused("padded", token+"=")
	refused("longer", token+"A")
	refused("signed twice", token+"."+signature)
	refused("without its prefix", payload+"."+signature)
	refused("in capitals", strings.ToUpper(token))
	refused("nothing", "")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	refused("a longer payload", "sa_del_"+base64.RawURLEncoding.EncodeToString(append(raw, 0))+"."+signature)
	raw[0] = 2
	refused("another version", "sa_del_"+base64.RawURLEncoding.EncodeToString(raw)+"."+signature)
}

func TestDelegationTokenOfAnotherKeyIsNotGenuine(t *testing.T) {
	t.Parallel()
	keys, others := someKeyring(t), someKeyring(t)
	id := domain.DelegationID{UUID: uuid.New()}
	foreign, _ := Delegation(others, id)
	if _, genuine := ReadDelegation(keys, foreign); genuine {
		t.Error("a token signed by another key is taken for ours")
	}
	// The same with our key's id written into it.
	own, _ := Delegation(keys, id)
	forged := own[:strings.Index(own, ".")] + foreign[strings.Index(foreign, "."):]
	if _, genuine := ReadDelegation(keys, forged); genuine {
		t.Error("a signature by another key is taken for ours")
	}
}
