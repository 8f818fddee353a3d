package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/internal/pgtest"
)

// holdHead locks the ledger's head, as a process does that commits.
func holdHead(t *testing.T, db *pgtest.Database) pgx.Tx {
	t.Helper()
	tx, err := pgtest.Pool(t, db.ServerURL).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT FROM ledger_head FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	return tx
}

func TestAQueuedAppendIsTakenBackWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	store := newStore(t, db.ServerURL, postgres.Options{Timeout: time.Minute})
	held := holdHead(t, db)
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := store.Append(t.Context(), "a-1", eventstore.NoStream(), storetest.NewDraft("a.x")); err != nil {
			t.Errorf("Append: %v", err)
		}
	})
	waitForLock(t, db) // the writer is busy with the first
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := store.Append(ctx, "a-2", eventstore.NoStream(), storetest.NewDraft("a.x")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Append = %v, want context.DeadlineExceeded", err)
	}
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.Wait()
	if _, err := store.Append(t.Context(), "a-3", eventstore.NoStream(), storetest.NewDraft("a.x")); err != nil {
		t.Fatal(err)
	}
	if got := len(verifyDense(t, store)); got != 2 {
		t.Errorf("%d events, want 2", got)
	}
}

func TestALockHeldTooLongIsUnavailable(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	store := newStore(t, db.ServerURL, postgres.Options{Timeout: 200 * time.Millisecond})
	held := holdHead(t, db)
	d := storetest.NewDraft("a.x")
	if _, err := store.Append(t.Context(), "a-1", eventstore.NoStream(), d); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("Append = %v, want ErrUnavailable", err)
	}
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(t.Context(), "a-1", eventstore.NoStream(), d); err != nil {
		t.Errorf("Append afterwards = %v", err)
	}
	if got := len(verifyDense(t, store)); got != 1 {
		t.Errorf("%d events, want 1", got)
	}
}
