package ledger_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// What has ended leaves memory, whether a node decided it or read it; the
// ledger has it for good.
func TestKeysOfEndedCredentialsLeaveMemory(t *testing.T) {
	store := memory.New()
	w := newWorld(t, store, 10)
	agent := w.register(t, "keys@example.com")
	id := domain.CredentialID{UUID: ledger.NewID()}
	_, err := w.GenerateCredential(t.Context(), ledger.System(), agent.ID, domain.GenerateCredential{
		Caller: w.operator, CredentialID: id, PublicKey: json.RawMessage(`{"kty":"EC","kid":"k1"}`), At: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.RevokeCredential(t.Context(), ledger.System(), agent.ID, domain.RevokeCredential{Caller: w.operator, CredentialID: id}); err != nil {
		t.Fatal(err)
	}
	for name, node := range map[string]*ledger.Ledger{"the node that revoked": w.Ledger, "a node that starts": ledger.New(store, nil, revocation.New(store, revocation.Options{}), ledger.Options{})} {
		known, err := node.Agent(t.Context(), agent.ID)
		if err != nil {
			t.Fatal(err)
		}
		dead, found := known.Credential(id)
		if !found || dead.Status != domain.CredentialIsRevoked || dead.PublicKey != nil || dead.KeyID != "k1" {
			t.Errorf("%s keeps %+v", name, dead)
		}
	}
}
