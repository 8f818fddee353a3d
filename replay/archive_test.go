package replay_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	formats "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay"
)

const (
	bookedEvents = 10_000
	signedEvery  = 1_000
	host         = "idp.test"
	seed         = 42
)

// signingKey is the log's; whoever tampers does not have it.
var signingKey = ed25519.NewKeyFromSeed(func() []byte { sum := sha256.Sum256([]byte("the log's key")); return sum[:] }())

func verifierKey(log uuid.UUID) string {
	public, _ := signingKey.Public().(ed25519.PublicKey)
	text, err := transparency.VerifierKey(transparency.Origin(host, log), public)
	if err != nil {
		panic(err)
	}
	return text
}

// archiveTemplate is a database with the books in it, logged, and signed at
// each thousand.
var archiveTemplate = pgtest.Template{
	Key: migrations.Fingerprint() + " books of 10,000 events, 2",
	Prepare: func(ctx context.Context, ownerURL string) error {
		if _, err := migrations.Up(ctx, ownerURL); err != nil {
			return err
		}
		pool, err := pgxpool.New(ctx, ownerURL)
		if err != nil {
			return err
		}
		defer pool.Close()
		b := write(seed, bookedEvents, time.Now().Add(-48*time.Hour))
		for from := 0; from < len(b.events); from += signedEvery {
			events := b.events[from : from+signedEvery]
			err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				if err := insert(ctx, tx, events); err != nil {
					return err
				}
				// Row-level security holds for the owner as well.
				if _, err := tx.Exec(ctx, `SET LOCAL ROLE agentidp_projector`); err != nil {
					return err
				}
				return logAndSign(ctx, tx, events, signingKey)
			})
			if err != nil {
				return err
			}
		}
		return nil
	},
}

var eventColumns = []string{"position", "stream", "revision", "id", "type", "organization_id", "recorded_at", "record", "hash"}

// insert stores events as they are, and moves the head to the last.
func insert(ctx context.Context, tx pgx.Tx, events []eventstore.Event) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"events"}, eventColumns, pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
		e := events[i]
		organization := &e.Organization
		if e.Organization == uuid.Nil {
			organization = nil
		}
		return []any{int64(e.Position), e.Stream, e.Revision, e.ID, e.Type, organization, e.RecordedAt, e.Record, e.Hash[:]}, nil
	}))
	if err != nil || len(events) == 0 {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE ledger_head SET position = $1`, int64(events[len(events)-1].Position))
	return err
}

// logAndSign does what the projection does, and the signer after it.
func logAndSign(ctx context.Context, tx pgx.Tx, events []eventstore.Event, key ed25519.PrivateKey) error {
	leaves := make([]transparency.Leaf, len(events))
	for i, e := range events {
		leaves[i] = transparency.Leaf{Organization: e.Organization, Position: e.Position, Entry: e.Hash}
	}
	if err := transparency.Append(ctx, tx, leaves); err != nil || key == nil {
		return err
	}
	signedAt := events[len(events)-1].RecordedAt.Add(time.Second)
	rows, err := tx.Query(ctx, `SELECT organization_id, size, edge, changed_position FROM transparency_logs`)
	if err != nil {
		return err
	}
	type state struct {
		ID       uuid.UUID
		Size     int64
		Edge     []byte
		Position int64
	}
	states, err := pgx.CollectRows(rows, pgx.RowToStructByPos[state])
	if err != nil {
		return err
	}
	for _, s := range states {
		tree, err := transparency.RestoreTree(s.Size, s.Edge)
		if err != nil {
			return err
		}
		root := tree.Root()
		signed, err := sign(key, s.ID, s.Size, root[:])
		if err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `INSERT INTO checkpoints (organization_id, origin, size, root, position, note, signed_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`, s.ID, transparency.Origin(host, s.ID), s.Size, root[:], s.Position, signed, signedAt); err != nil {
			return err
		}
	}
	return nil
}

func sign(key ed25519.PrivateKey, log uuid.UUID, size int64, root []byte) ([]byte, error) {
	verifier, err := note.NewVerifier(verifierKey(log))
	if err != nil {
		return nil, err
	}
	text := formats.Checkpoint{Origin: transparency.Origin(host, log), Size: uint64(size), Hash: root}.Marshal()
	return note.Sign(&note.Note{Text: string(text)}, noteSigner{verifier, key})
}

type noteSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s noteSigner) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.key, message), nil }

// archive is one test's copy of the ledger, which its superuser can get at.
type archive struct {
	*pgtest.Database
	store     *postgres.Store
	logs      *transparency.Logs
	pool      *pgxpool.Pool
	superuser *pgxpool.Pool
	events    []eventstore.Event  // before anybody touched it
	signed    transparency.Signed // newest, likewise: what somebody outside keeps
	all       []transparency.Signed
}

// booked are the events of the template, which are the same in every copy.
var booked struct {
	once   sync.Once
	events []eventstore.Event
}

func newArchive(t testing.TB) *archive {
	t.Helper()
	a := &archive{Database: pgtest.New(t, archiveTemplate)}
	a.pool, a.superuser = pgtest.Pool(t, a.ServerURL), pgtest.Pool(t, a.SuperuserURL)
	a.store, a.logs = postgres.New(t.Context(), a.pool, postgres.Options{}), transparency.NewLogs(a.pool)
	t.Cleanup(a.store.Close)
	booked.once.Do(func() { booked.events = a.read(t) })
	a.events = booked.events
	var err error
	if a.all, err = a.logs.Checkpoints(t.Context(), transparency.Whole); err != nil {
		t.Fatal(err)
	}
	a.signed = a.all[len(a.all)-1]
	a.exec(t, `ALTER TABLE events DISABLE TRIGGER ALL`)
	a.exec(t, `ALTER TABLE ledger_head DISABLE TRIGGER ALL`)
	return a
}

func (a *archive) read(t testing.TB) (events []eventstore.Event) {
	t.Helper()
	for e, err := range a.store.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// at is the event that stands at an index now.
func (a *archive) at(t testing.TB, index int64) eventstore.Event {
	t.Helper()
	for e, err := range a.store.ReadAll(t.Context(), eventstore.Position(index), eventstore.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	return eventstore.Event{}
}

func (a *archive) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := a.superuser.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// replace puts other events in the place of all there are.
func (a *archive) replace(t testing.TB, events []eventstore.Event) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), a.superuser, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `TRUNCATE events`); err != nil {
			return err
		}
		return insert(t.Context(), tx, events)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fitLog makes the logs say what the events say now, and takes away the
// checkpoints that no longer fit: all that can be done without the key.
func (a *archive) fitLog(t testing.TB) {
	t.Helper()
	now := a.read(t)
	err := pgx.BeginFunc(t.Context(), a.superuser, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `TRUNCATE transparency_logs, transparency_tiles`); err != nil {
			return err
		}
		return logAndSign(t.Context(), tx, now, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range a.all {
		if root, err := a.logs.Root(t.Context(), transparency.Whole, c.Size); err != nil || root != c.Root {
			a.exec(t, `DELETE FROM checkpoints WHERE organization_id = $1 AND size = $2`, transparency.Whole, c.Size)
		}
	}
}

// outside is the newest checkpoint before anybody touched anything, as the
// signer's memory has it.
func (a *archive) outside() replay.Checkpoint {
	return replay.Checkpoint{Size: a.signed.Size, Root: a.signed.Root, SignedAt: a.signed.SignedAt.Truncate(time.Second), Outside: true}
}

func (a *archive) verifier(against ...replay.Checkpoint) *replay.Verifier {
	return replay.NewVerifier(a.store, replay.VerifierOptions{Logs: a.logs, VerifierKey: verifierKey, Against: against, Pool: a.pool})
}

// describe is a finding in a line, for failures.
func describe(f *replay.Finding) string {
	if f == nil {
		return "nothing"
	}
	return fmt.Sprintf("%v [chain: %v]", f, f.Chain)
}
