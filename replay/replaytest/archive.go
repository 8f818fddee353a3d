package replaytest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	formats "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/verify"
)

// The ledger of an [Archive].
const (
	BookedEvents = 10_000
	SignedEvery  = 1_000
	Host         = "idp.test"
	Seed         = 42
)

// SigningKey is the log's; whoever tampers does not have it.
var SigningKey = ed25519.NewKeyFromSeed(func() []byte { sum := sha256.Sum256([]byte("the log's key")); return sum[:] }())

// VerifierKey is what the checkpoints of a log are verified with.
func VerifierKey(log uuid.UUID) string {
	public, _ := SigningKey.Public().(ed25519.PublicKey)
	text, err := transparency.VerifierKey(transparency.Origin(Host, log), public)
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
		b := Write(Seed, BookedEvents, time.Now().Add(-48*time.Hour))
		for from := 0; from < len(b.Events); from += SignedEvery {
			events := b.Events[from : from+SignedEvery]
			err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				if err := insert(ctx, tx, events); err != nil {
					return err
				}
				// Row-level security holds for the owner as well.
				if _, err := tx.Exec(ctx, `SET LOCAL ROLE agentidp_projector`); err != nil {
					return err
				}
				return LogAndSign(ctx, tx, events, SigningKey)
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

// LogAndSign does what the projection does, and the signer after it.
func LogAndSign(ctx context.Context, tx pgx.Tx, events []eventstore.Event, key ed25519.PrivateKey) error {
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
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`, s.ID, transparency.Origin(Host, s.ID), s.Size, root[:], s.Position, signed, signedAt); err != nil {
			return err
		}
	}
	return nil
}

func sign(key ed25519.PrivateKey, log uuid.UUID, size int64, root []byte) ([]byte, error) {
	verifier, err := note.NewVerifier(VerifierKey(log))
	if err != nil {
		return nil, err
	}
	text := formats.Checkpoint{Origin: transparency.Origin(Host, log), Size: uint64(size), Hash: root}.Marshal()
	return note.Sign(&note.Note{Text: string(text)}, noteSigner{verifier, key})
}

type noteSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s noteSigner) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.key, message), nil }

// Archive is one test's copy of the ledger, which its superuser can get at.
type Archive struct {
	*pgtest.Database
	Store     *postgres.Store
	Logs      *transparency.Logs
	Pool      *pgxpool.Pool
	Superuser *pgxpool.Pool
	Events    []eventstore.Event  // before anybody touched it
	Signed    transparency.Signed // newest, likewise: what somebody outside keeps
	all       []transparency.Signed
}

// booked are the events of the template, which are the same in every copy.
var booked struct {
	once   sync.Once
	events []eventstore.Event
}

// NewArchive copies the ledger and takes the guards off its tables.
func NewArchive(t testing.TB) *Archive {
	t.Helper()
	a := &Archive{Database: pgtest.New(t, archiveTemplate)}
	a.Pool, a.Superuser = pgtest.Pool(t, a.ServerURL), pgtest.Pool(t, a.SuperuserURL)
	a.Store, a.Logs = postgres.New(t.Context(), a.Pool, postgres.Options{}), transparency.NewLogs(a.Pool)
	t.Cleanup(a.Store.Close)
	booked.once.Do(func() { booked.events = a.Read(t) })
	a.Events = booked.events
	var err error
	if a.all, err = a.Logs.Checkpoints(t.Context(), transparency.Whole); err != nil {
		t.Fatal(err)
	}
	a.Signed = a.all[len(a.all)-1]
	a.Exec(t, `ALTER TABLE events DISABLE TRIGGER ALL`)
	a.Exec(t, `ALTER TABLE ledger_head DISABLE TRIGGER ALL`)
	return a
}

// Read reads the events as they are now.
func (a *Archive) Read(t testing.TB) (events []eventstore.Event) {
	t.Helper()
	for e, err := range a.Store.ReadAll(t.Context(), 0, eventstore.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// at is the event that stands at an index now.
func (a *Archive) at(t testing.TB, index int64) eventstore.Event {
	t.Helper()
	for e, err := range a.Store.ReadAll(t.Context(), eventstore.Position(index), eventstore.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	return eventstore.Event{}
}

// Exec runs a statement as the superuser.
func (a *Archive) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := a.Superuser.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Replace puts other events in the place of all there are.
func (a *Archive) Replace(t testing.TB, events []eventstore.Event) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), a.Superuser, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `TRUNCATE events`); err != nil {
			return err
		}
		return insert(t.Context(), tx, events)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// FitLog makes the logs say what the events say now, and takes away the
// checkpoints that no longer fit: all that can be done without the key.
func (a *Archive) FitLog(t testing.TB) {
	t.Helper()
	now := a.Read(t)
	err := pgx.BeginFunc(t.Context(), a.Superuser, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `TRUNCATE transparency_logs, transparency_tiles`); err != nil {
			return err
		}
		return LogAndSign(t.Context(), tx, now, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range a.all {
		if root, err := a.Logs.Root(t.Context(), transparency.Whole, c.Size); err != nil || root != c.Root {
			a.Exec(t, `DELETE FROM checkpoints WHERE organization_id = $1 AND size = $2`, transparency.Whole, c.Size)
		}
	}
}

// Outside is the newest checkpoint before anybody touched anything, as the
// signer's memory has it.
func (a *Archive) Outside() verify.Checkpoint {
	return verify.Checkpoint{Size: a.Signed.Size, Root: a.Signed.Root, SignedAt: a.Signed.SignedAt.Truncate(time.Second), Outside: true}
}

// Verifier verifies it by its own log and checkpoints, and what somebody kept.
func (a *Archive) Verifier(against ...verify.Checkpoint) *verify.Verifier {
	return verify.New(a.Store, verify.Options{Logs: a.Logs, VerifierKey: VerifierKey, Against: against, Pool: a.Pool})
}

// Describe is a finding in a line, for failures.
func Describe(f *verify.Finding) string {
	if f == nil {
		return "nothing"
	}
	return fmt.Sprintf("%v [chain: %v]", f, f.Chain)
}

// OrganizationsOf lists the organizations of events, in the order of their first.
func OrganizationsOf(events []eventstore.Event) (found []domain.OrganizationID) {
	for _, e := range events {
		id := domain.OrganizationID{UUID: e.Organization}
		if e.Organization != uuid.Nil && !slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	return found
}
