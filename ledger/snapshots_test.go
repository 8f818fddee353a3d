package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// snapshotRow is a row of the table of snapshots, its state in the clear.
type snapshotRow struct {
	stream, shape string
	revision      int64
	hash          eventstore.Hash
	state         []byte
}

func (r *snapshotRow) place(shape string) []byte {
	return fmt.Appendf(nil, "snapshot/1 %q %q %d %x", r.stream, shape, r.revision, r.hash)
}

const agentShape = "agent/4" // as the write side names it; the column says that it is sealed

func readSnapshot(t *testing.T, pool *pgxpool.Pool, sealer ledger.Sealer, stream string) *snapshotRow {
	t.Helper()
	row := &snapshotRow{stream: stream}
	var hash, sealed []byte
	err := pool.QueryRow(t.Context(), `SELECT shape, revision, hash, state FROM snapshots WHERE stream = $1`, stream).
		Scan(&row.shape, &row.revision, &hash, &sealed)
	copy(row.hash[:], hash)
	if err == nil {
		row.state, err = sealer.Open(sealed, row.place(agentShape))
	}
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// rewriteSnapshot does what only the holder of the master key can.
func rewriteSnapshot(t *testing.T, pool *pgxpool.Pool, sealer ledger.Sealer, stream string, change func(*snapshotRow)) {
	t.Helper()
	row := readSnapshot(t, pool, sealer, stream)
	change(row)
	sealed, err := sealer.Seal(row.state, row.place(agentShape))
	if err == nil {
		_, err = pool.Exec(t.Context(), `UPDATE snapshots SET revision = $2, hash = $3, state = $4 WHERE stream = $1`,
			stream, row.revision, row.hash[:], sealed)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// busyAgent is an agent of a long stream, snapshots of which are kept under a
// key of our own.
type busyAgent struct {
	*world
	agent  domain.Agent
	pool   *pgxpool.Pool // of the server's login
	master *keyring.MasterKey
	log    bytes.Buffer
}

func newBusyAgent(t *testing.T) *busyAgent {
	t.Helper()
	master, err := keyring.LoadOrCreateMasterKey(filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	b := &busyAgent{world: newWorld(t, memory.New(), 10), pool: newPool(t), master: master}
	b.agent = b.register(t, "busy@example.com")
	b.credential(t, b.agent.ID)
	busy, stop := b.start(t)
	for range every + 5 {
		if _, err := issueToken(t.Context(), busy, b.agent.ID, issue()); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	return b
}

// start is another process on the same ledger and database.
func (b *busyAgent) start(t *testing.T) (l *ledger.Ledger, stop func()) {
	t.Helper()
	snapshots := ledger.NewSnapshots(b.pool, b.master, slog.New(slog.NewTextHandler(&b.log, nil)))
	var saving sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	saving.Go(func() { snapshots.Run(ctx) })
	stop = func() { cancel(); saving.Wait() }
	t.Cleanup(stop)
	return ledger.New(b.store, nil, revocation.New(b.store, revocation.Options{}), ledger.Options{
		Snapshots: snapshots, SnapshotEvery: every, Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
	}), stop
}

// crowned is the agent's state with every scope and a credential of the
// attacker's.
func crowned(t *testing.T, state []byte) []byte {
	t.Helper()
	var agent domain.Agent
	if err := json.Unmarshal(state, &agent); err != nil {
		t.Fatal(err)
	}
	agent.Scopes = domain.AllScopes()
	agent.Credentials = append(agent.Credentials, domain.Credential{
		ID: domain.CredentialID{UUID: uuid.New()}, Kind: domain.SecretCredential, Status: domain.CredentialActive, Verifier: attackers,
	})
	forged, err := json.Marshal(agent)
	if err != nil {
		t.Fatal(err)
	}
	return forged
}

var attackers = domain.Verifier{KeyID: "k", MAC: []byte("attacker's")}

// Somebody with the server's login in the database, and without its master key,
// makes no agent of more than the ledger says.
func TestAForgedSnapshotGetsNobodyIn(t *testing.T) {
	for name, forge := range map[string]func(t *testing.T, b *busyAgent, row *snapshotRow) (state []byte, shape string){
		"in the clear, under the name of the sealed": func(t *testing.T, _ *busyAgent, row *snapshotRow) ([]byte, string) {
			return crowned(t, row.state), row.shape
		},
		"in the clear, as it was stored before": func(t *testing.T, _ *busyAgent, row *snapshotRow) ([]byte, string) {
			return crowned(t, row.state), agentShape
		},
		"sealed with a key of the attacker's": func(t *testing.T, _ *busyAgent, row *snapshotRow) ([]byte, string) {
			other, err := keyring.LoadOrCreateMasterKey(filepath.Join(t.TempDir(), "other.key"))
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := other.Seal(crowned(t, row.state), row.place(agentShape))
			if err != nil {
				t.Fatal(err)
			}
			return sealed, row.shape
		},
		"sealed by us for another stream": func(t *testing.T, b *busyAgent, row *snapshotRow) ([]byte, string) {
			elsewhere := *row
			elsewhere.stream = domain.AgentStream(domain.AgentID{UUID: uuid.New()})
			sealed, err := b.master.Seal(crowned(t, row.state), elsewhere.place(agentShape))
			if err != nil {
				t.Fatal(err)
			}
			return sealed, row.shape
		},
		"sealed by us for another revision": func(t *testing.T, b *busyAgent, row *snapshotRow) ([]byte, string) {
			earlier := *row
			earlier.revision--
			sealed, err := b.master.Seal(crowned(t, row.state), earlier.place(agentShape))
			if err != nil {
				t.Fatal(err)
			}
			return sealed, row.shape
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBusyAgent(t)
			stream := domain.AgentStream(b.agent.ID)
			state, shape := forge(t, b, readSnapshot(t, b.pool, b.master, stream))
			if _, err := b.pool.Exec(t.Context(), `UPDATE snapshots SET state = $2, shape = $3 WHERE stream = $1`, stream, state, shape); err != nil {
				t.Fatal(err)
			}
			verified, err := b.verifySnapshots(t)
			if err != nil {
				t.Fatal(err)
			}
			if shape == agentShape {
				if verified.Unread != 1 || len(verified.Faults) != 0 {
					t.Errorf("verification says %+v, want one that nobody reads", verified)
				}
			} else if len(verified.Faults) != 1 || verified.Faults[0].Stream != stream {
				t.Errorf("verification says %+v, want a fault of %s", verified, stream)
			}

			node, stop := b.start(t)
			command := issue()
			command.Proof.Secret = []domain.Verifier{attackers}
			var refused *domain.AuthError
			if issued, err := issueToken(t.Context(), node, b.agent.ID, command); !errors.As(err, &refused) {
				t.Errorf("the attacker's secret: %+v, %v; want it refused", issued, err)
			}
			issued, err := issueToken(t.Context(), node, b.agent.ID, issue())
			if err != nil {
				t.Fatal(err)
			}
			if got := issued.Agent.Scopes; len(got.Beyond(b.agent.Scopes)) > 0 {
				t.Errorf("the agent has the scopes %v, the ledger gave it %v", got, b.agent.Scopes)
			}
			stop()
			if shape != agentShape && !bytes.Contains(b.log.Bytes(), []byte("is dropped")) {
				t.Errorf("nothing was logged: %s", &b.log)
			}
			// Room was made for a snapshot of ours.
			if row := readSnapshot(t, b.pool, b.master, stream); bytes.Contains(row.state, attackers.MAC) {
				t.Error("the forged state is what is kept")
			}
		})
	}
}

func (b *busyAgent) verifySnapshots(t *testing.T) (ledger.SnapshotsVerified, error) {
	t.Helper()
	l, _ := b.start(t)
	return l.VerifySnapshots(t.Context())
}

func TestVerificationNamesTheSnapshotsThatTheEventsDoNotLeadTo(t *testing.T) {
	t.Parallel()
	b := newBusyAgent(t)
	stream := domain.AgentStream(b.agent.ID)
	if verified, err := b.verifySnapshots(t); err != nil || verified.Checked != 1 || verified.Events <= every-1 || len(verified.Faults) != 0 {
		t.Fatalf("of what we saved it says %+v, %v", verified, err)
	}
	for _, test := range []struct {
		name   string
		change func(*snapshotRow)
	}{
		{"another state, well sealed", func(row *snapshotRow) { row.state = crowned(t, row.state) }},
		{"another event", func(row *snapshotRow) { row.hash = eventstore.HashOf([]byte("other")) }},
		{"beyond the end", func(row *snapshotRow) { row.revision += 1000 }},
		{"no state", func(row *snapshotRow) { row.state = []byte("rubbish") }},
	} {
		before := readSnapshot(t, b.pool, b.master, stream)
		rewriteSnapshot(t, b.pool, b.master, stream, test.change)
		verified, err := b.verifySnapshots(t)
		if err != nil || len(verified.Faults) != 1 || verified.Faults[0].Stream != stream || verified.Faults[0].Reason == nil {
			t.Errorf("%s: it says %+v, %v", test.name, verified, err)
		}
		rewriteSnapshot(t, b.pool, b.master, stream, func(row *snapshotRow) { *row = *before })
	}
}
