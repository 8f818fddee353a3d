package readmodels_test

import (
	"context"
	"flag"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/ledger/ledgertest"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func TestMain(m *testing.M) {
	// Histories take a database's time; -rapid.checks asks for more of them.
	if err := flag.Set("rapid.checks", "15"); err != nil {
		panic(err)
	}
	pgtest.Main(m)
}

// world is a migrated database with a ledger in it.
type world struct {
	pool    *pgxpool.Pool // as the server
	admin   *pgxpool.Pool // as superuser
	store   *postgres.Store
	queries *readmodels.Queries
}

func newWorld(t testing.TB) *world {
	t.Helper()
	db := pgtest.New(t, pgtest.Migrated)
	pool := pgtest.Pool(t, db.ServerURL)
	store := postgres.New(t.Context(), pool, postgres.Options{})
	t.Cleanup(store.Close)
	return &world{pool: pool, admin: pgtest.Pool(t, db.SuperuserURL), store: store, queries: readmodels.NewQueries(pool)}
}

// follow runs all read models until the test ends, and knows where they are.
func (w *world) follow(t testing.TB) *projections.Progress {
	t.Helper()
	all := readmodels.All()
	progress := projections.NewProgress(w.pool, w.store, all, projections.ProgressOptions{})
	runner := projections.NewRunner(w.pool, w.store, all, projections.RunnerOptions{Progress: progress})
	ctx, stop := context.WithCancel(context.Background())
	var both sync.WaitGroup
	both.Go(func() { progress.Run(ctx) })
	both.Go(func() { runner.Run(ctx) })
	t.Cleanup(both.Wait)
	t.Cleanup(stop)
	return progress
}

func waitAll(t testing.TB, progress *projections.Progress, position eventstore.Position) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := progress.WaitAll(ctx, position); err != nil {
		t.Fatalf("WaitAll(%d): %v; status %+v", position, err, progress.Status())
	}
}

// mustVerify demands that a read model is what the ledger says.
func (w *world) mustVerify(t testing.TB, p projections.Projection) {
	t.Helper()
	result := projections.NewVerifier(w.pool, w.store, projections.VerifyOptions{}).Verify(t.Context(), p)[0]
	if result.Err != nil || result.Different != 0 {
		t.Errorf("verify %s: %v, %d rows differ, the first %v", result.Projection, result.Err, result.Different, result.Found)
	}
}

// What happened, in the words of these tests.
var (
	draft  = ledgertest.Draft
	record = ledgertest.Record

	newAgentID        = ledgertest.NewAgentID
	newOrganizationID = ledgertest.NewOrganizationID
	newCredentialID   = ledgertest.NewCredentialID
	newStream         = ledgertest.NewStream

	created   = ledgertest.Created
	issued    = ledgertest.Issued
	delegated = ledgertest.Delegated
)
