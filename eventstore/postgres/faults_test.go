package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/internal/pgtest"
)

// verifyDense reads the ledger, checks the chain and that positions count
// from 1 without a gap.
func verifyDense(t *testing.T, store eventstore.Store) []eventstore.Event {
	t.Helper()
	events := storetest.Verify(t, store)
	for i, e := range events {
		if e.Position != eventstore.Position(i+1) {
			t.Fatalf("event %d is at position %d", i+1, e.Position)
		}
	}
	return events
}

func TestTwoStoresShareOneLedger(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	const writers, rounds = 16, 30
	var all sync.WaitGroup
	for range 2 {
		store := newStore(t, db.ServerURL, postgres.Options{})
		for i := range writers {
			all.Go(func() {
				stream := fmt.Sprintf("a-%d", i/2) // shared by two writers of each store
				at, won := int64(-1), 0
				for won < rounds {
					appended, err := store.Append(t.Context(), stream, eventstore.Exactly(at), storetest.NewDraft("a.x"))
					var conflict *eventstore.ConflictError
					switch {
					case errors.As(err, &conflict) && conflict.Actual != at:
						at = conflict.Actual
					case err != nil:
						t.Errorf("Append: %v", err)
						return
					default:
						at = appended.Revision
						won++
					}
				}
			})
		}
	}
	all.Wait()
	if got := len(verifyDense(t, newStore(t, db.ServerURL, postgres.Options{}))); got != 2*writers*rounds {
		t.Errorf("%d events, want %d", got, 2*writers*rounds)
	}
}

// A process that writes much between two appends of another makes it forget
// what it remembers of streams; less, and it catches up.
func TestHeadsAreRightAfterOthersWrote(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	one, other := newStore(t, db.ServerURL, postgres.Options{}), newStore(t, db.ServerURL, postgres.Options{})
	mustAppend := func(store eventstore.Store, stream string, n int) eventstore.Appended {
		t.Helper()
		drafts := make([]eventstore.Draft, n)
		for i := range drafts {
			drafts[i] = storetest.NewDraft("a.x")
		}
		appended, err := store.Append(t.Context(), stream, eventstore.Any(), drafts...)
		if err != nil {
			t.Fatal(err)
		}
		return appended
	}
	want := int64(-1)
	for _, n := range []int{1, 10, 5000, 3} {
		mustAppend(one, "a-1", 1)
		mustAppend(other, "a-1", n)
		mustAppend(other, "a-2", 1)
		want += int64(n) + 1
		appended, err := one.Append(t.Context(), "a-1", eventstore.Exactly(want), storetest.NewDraft("a.x"))
		if err != nil {
			t.Fatalf("after %d events of another store: %v", n, err)
		}
		want = appended.Revision
		mustAppend(one, "a-2", 1)
	}
	verifyDense(t, one)
}

// A transaction that holds the head's lock holds up appends, and nothing that
// comes after it becomes visible before it does.
func TestASlowTransactionIsNotSkipped(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	store := newStore(t, db.ServerURL, postgres.Options{PollInterval: 10 * time.Millisecond})
	if _, err := store.Append(t.Context(), "a-1", eventstore.NoStream(), storetest.NewDraft("a.x")); err != nil {
		t.Fatal(err)
	}
	sub := store.Subscribe(0, eventstore.Filter{})
	defer sub.Close()
	storetest.Follow(t, sub, 1)

	slow, err := pgtest.Pool(t, db.ServerURL).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e, err := eventstore.SealEvent(storetest.NewDraft("a.slow"), "a-2", 0, eventstore.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	b := &pgx.Batch{}
	b.Queue("SELECT FROM ledger_head FOR UPDATE")
	b.Queue(`INSERT INTO events (position, stream, revision, id, type, organization_id, recorded_at, record, hash)
		VALUES (2, $1, 0, $2, $3, $4, $5, $6, $7)`, e.Stream, e.ID, e.Type, e.Organization, e.RecordedAt, e.Record, e.Hash[:])
	b.Queue("UPDATE ledger_head SET position = 2")
	if err := slow.SendBatch(t.Context(), b).Close(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var done atomic.Bool
	for i := range 8 {
		all.Go(func() {
			if _, err := store.Append(t.Context(), fmt.Sprintf("b-%d", i), eventstore.NoStream(), storetest.NewDraft("a.x")); err != nil {
				t.Errorf("Append: %v", err)
			}
			if !done.Load() {
				t.Error("an append went past the transaction that holds the lock")
			}
		})
	}
	waitForLock(t, db)
	done.Store(true)
	if err := slow.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	events := storetest.Follow(t, sub, 10)
	all.Wait()
	if len(events) != 9 || events[0].ID != e.ID {
		t.Errorf("the subscription saw %d events, want 9 beginning with the slow one", len(events))
	}
	verifyDense(t, store)
}

// waitForLock returns once a session of the database waits for a lock.
func waitForLock(t *testing.T, db *pgtest.Database) {
	t.Helper()
	pool := pgtest.Pool(t, db.SuperuserURL)
	for waiting := false; !waiting; {
		err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestLostConnectionsLoseNothing(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	store := newStore(t, db.ServerURL, postgres.Options{})
	admin := pgtest.Pool(t, db.SuperuserURL)
	sub := store.Subscribe(0, eventstore.Filter{})
	defer sub.Close()

	const writers, rounds, kills = 32, 60, 5
	var all sync.WaitGroup
	var acknowledged atomic.Int64
	var unknown atomic.Int64
	for i := range writers {
		all.Go(func() {
			stream := fmt.Sprintf("a-%d", i)
			for n := range rounds {
				d := storetest.NewDraft("a.x")
				for {
					appended, err := store.Append(t.Context(), stream, eventstore.Exactly(int64(n)-1), d)
					if err == nil {
						if appended.Revision != int64(n) {
							t.Errorf("revision %d, want %d", appended.Revision, n)
						}
						acknowledged.Add(1)
						break
					}
					unknown.Add(1)
					if !errors.Is(err, eventstore.ErrUnavailable) {
						t.Errorf("Append: %v", err)
						return
					}
				}
			}
		})
	}
	for k := range kills {
		for acknowledged.Load() < int64(k+1)*writers*rounds/(kills+1) && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
		if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	t.Logf("%d appends had to be repeated", unknown.Load())

	// The pool's idle connections are dead as well; reads say so and recover.
	for _, err := store.Head(t.Context()); err != nil; _, err = store.Head(t.Context()) {
		if !errors.Is(err, eventstore.ErrUnavailable) {
			t.Fatalf("Head: %v", err)
		}
	}
	events := verifyDense(t, store)
	if len(events) != writers*rounds {
		t.Errorf("%d events, want %d", len(events), writers*rounds)
	}
	var seen []eventstore.Event
	for len(seen) < len(events) {
		batch, err := sub.Next(t.Context())
		if err != nil && !errors.Is(err, eventstore.ErrUnavailable) {
			t.Fatalf("Next: %v", err)
		}
		seen = append(seen, batch.Events...)
	}
	for i := range events {
		if seen[i].Position != events[i].Position {
			t.Fatalf("the subscription skipped or repeated at position %d", events[i].Position)
		}
	}
}

func TestAnAbsentDatabaseIsUnavailableSoon(t *testing.T) {
	t.Parallel()
	store := newStore(t, "postgres://agentidp@127.0.0.1:1/nothing", postgres.Options{})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for range 3 {
				begin := time.Now()
				_, err := store.Append(t.Context(), fmt.Sprintf("a-%d", i), eventstore.NoStream(), storetest.NewDraft("a.x"))
				if took := time.Since(begin); !errors.Is(err, eventstore.ErrUnavailable) || took > 10*time.Second {
					t.Errorf("Append = %v after %s, want ErrUnavailable soon", err, took)
				}
			}
		})
	}
	all.Wait()
}
