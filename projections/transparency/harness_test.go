package transparency

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var (
	ours   = uuid.MustParse("0192f3a0-0000-7000-8000-0000000000a1")
	theirs = uuid.MustParse("0192f3a0-0000-7000-8000-0000000000a2")
)

// world is a database with logs and no ledger: leaves come from the test, which
// says where the ledger would end.
type world struct {
	pool, superuser *pgxpool.Pool
	*Logs
	head eventstore.Position
	kept []Leaf
	salt uint64 // leaves of another history are others
}

func newWorld(t *testing.T) *world {
	t.Helper()
	database := pgtest.New(t, pgtest.Migrated)
	pool := pgtest.Pool(t, database.ServerURL)
	return &world{pool: pool, superuser: pgtest.Pool(t, database.SuperuserURL), Logs: NewLogs(pool)}
}

// Head implements ledger.
func (w *world) Head(context.Context) (eventstore.Position, error) { return w.head, nil }

func entry(position eventstore.Position, salt uint64) eventstore.Hash {
	return sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(position)), salt))
}

// leaf is what the ledger has at a position.
func (w *world) leaf(position eventstore.Position) Leaf {
	owners := []uuid.UUID{uuid.Nil, ours, theirs, ours}
	return Leaf{Organization: owners[int(position)%len(owners)], Position: position, Entry: entry(position, w.salt)}
}

// grow has n more events happen.
func (w *world) grow(t *testing.T, n int) {
	t.Helper()
	var leaves []Leaf
	for range n {
		w.head++
		leaves = append(leaves, w.leaf(w.head))
	}
	w.kept = append(w.kept, leaves...)
	w.append(t, leaves)
}

func (w *world) append(t *testing.T, leaves []Leaf) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SET LOCAL ROLE agentidp_projector`); err != nil {
			return err
		}
		return Append(t.Context(), tx, leaves)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// entries are those of a log as they should be.
func (w *world) entries(id uuid.UUID) (entries []eventstore.Hash) {
	for _, leaf := range w.kept {
		if id == Whole || leaf.Organization == id {
			entries = append(entries, leaf.Entry)
		}
	}
	return entries
}

// exec is what a superuser of the database does.
func (w *world) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := w.superuser.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// restart is a database whose history has been replaced by another one.
func (w *world) restart(t *testing.T, salt uint64) {
	t.Helper()
	w.exec(t, `TRUNCATE transparency_logs, transparency_tiles`)
	w.head, w.kept, w.salt = 0, nil, salt
}

func newSigner(t *testing.T, w *world, memory *Memory) *Signer {
	t.Helper()
	return &Signer{
		pool: w.pool, logs: w.Logs, ledger: w, memory: memory, host: "idp.example",
		key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), now: fixedTime, passed: func(point) error { return nil },
	}
}

func newMemory(t *testing.T) *Memory {
	t.Helper()
	return OpenMemory(filepath.Join(t.TempDir(), "checkpoints"))
}

// treeOf is the reference: every hash there is, as tlog wants them stored.
func treeOf(t *testing.T, entries []eventstore.Hash) tlog.HashReader {
	t.Helper()
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for i, entry := range entries {
		hashes, err := tlog.StoredHashes(int64(i), entry[:], reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
	}
	return reader
}

func rootOf(t *testing.T, reader tlog.HashReader, size int64) tlog.Hash {
	t.Helper()
	root, err := tlog.TreeHash(size, reader)
	if err != nil {
		t.Fatal(err)
	}
	return root
}
