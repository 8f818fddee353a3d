package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
)

func didKeys(t *testing.T, pool *pgxpool.Pool) *keyring.DIDKeys {
	t.Helper()
	master, err := keyring.LoadOrCreateMasterKey(filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	return keyring.NewDIDKeys(pool, master)
}

func TestTheServersKeyIsMadeOnceOverAllNodes(t *testing.T) {
	pool := newPool(t)
	keys := didKeys(t, pool)
	store := postgres.New(t.Context(), pool, postgres.Options{})
	t.Cleanup(store.Close)
	const nodes = 8
	made := make([]ledger.InstanceKey, nodes)
	start := func() {
		t.Helper()
		outcomes := parallel(nodes, func(i int) (err error) {
			made[i], err = ledger.New(store, nil, nil, ledger.Options{DIDKeys: keys}).InstanceKey(t.Context())
			return err
		})
		if outcomes[""] != nodes {
			t.Fatalf("outcomes: %v", outcomes)
		}
		for _, key := range made {
			if string(key.PublicKey) != string(made[0].PublicKey) || key.KeyNumber != made[0].KeyNumber {
				t.Errorf("one node has %d %s, another %d %s", made[0].KeyNumber, made[0].PublicKey, key.KeyNumber, key.PublicKey)
			}
		}
		if signer, err := keys.InstanceSigner(t.Context(), made[0].PublicKey); err != nil || signer == nil {
			t.Errorf("nobody can sign with it: %v", err)
		}
	}
	start()
	first := made[0]
	start()
	if made[0].KeyNumber != 1 || string(made[0].PublicKey) != string(first.PublicKey) {
		t.Errorf("a second start has key %d", made[0].KeyNumber)
	}
	if _, err := pool.Exec(t.Context(), `DELETE FROM did_keys`); err != nil {
		t.Fatal(err)
	}
	start()
	if made[0].KeyNumber != 2 || string(made[0].PublicKey) == string(first.PublicKey) {
		t.Errorf("after its private half was lost the key is %d", made[0].KeyNumber)
	}
}

// lame keeps keys only while it is told to.
type lame struct{ keeps atomic.Bool }

var errLame = errors.New("the disk is full")

func (l *lame) New(uuid.UUID) (json.RawMessage, func(context.Context) error, error) {
	public := json.RawMessage(`{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`)
	return public, func(context.Context) error {
		if l.keeps.Load() {
			return nil
		}
		return errLame
	}, nil
}

func (*lame) Has(context.Context, json.RawMessage) (bool, error) { return false, nil }

// No key is put on record whose private half is not safe, and what was begun can be
// sent again.
func TestNoAgentHasAKeyThatWasNotKept(t *testing.T) {
	store := memory.New()
	w := newWorld(t, store, 10)
	keys := &lame{}
	w.Ledger = ledger.New(store, nil, nil, ledger.Options{Grace: testGrace, Now: w.clock, DIDKeys: keys})
	command := w.registration("robot@acme.test")
	_, err := w.RegisterAgent(t.Context(), ledger.System(), command)
	if !errors.Is(err, ledger.ErrUnavailable) || !errors.Is(err, errLame) {
		t.Fatalf("registered: %v", err)
	}
	if agent, err := w.Agent(t.Context(), command.AgentID); err != nil || agent.Exists() {
		t.Fatalf("the agent is there: %+v, %v", agent, err)
	}
	keys.keeps.Store(true)
	outcome, err := w.RegisterAgent(t.Context(), ledger.System(), command)
	if err != nil || len(outcome.Events) != 2 || outcome.State.Keys.Current.Number != 1 {
		t.Fatalf("sent again: %+v, %v", outcome, err)
	}
	if again, err := w.RegisterAgent(t.Context(), ledger.System(), command); err != nil || len(again.Events) != 0 {
		t.Errorf("and once more: %+v, %v", again.Events, err)
	}

	keys.keeps.Store(false)
	rotate := domain.RotateDIDKey{Caller: w.operator}
	if _, err := w.RotateDIDKey(t.Context(), ledger.System(), command.AgentID, rotate); !errors.Is(err, errLame) {
		t.Errorf("rotated: %v", err)
	}
	var events int
	for range store.ReadStream(t.Context(), domain.AgentStream(command.AgentID), 0, eventstore.Forwards) {
		events++
	}
	if events != 2 {
		t.Errorf("%d events on the agent's stream, want that it was created, and its DID", events)
	}
}
