package projections_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strings"
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
	*pgtest.Database
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
	return &world{Database: db, pool: pool, admin: pgtest.Pool(t, db.SuperuserURL), store: store, queries: readmodels.NewQueries(pool)}
}

// run runs projections until the returned function is called or the test ends.
func run(t testing.TB, r interface{ Run(context.Context) }) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return stop
}

// follow runs all projections of this build and their progress.
func (w *world) follow(t testing.TB) *projections.Progress {
	t.Helper()
	all := readmodels.All()
	progress := projections.NewProgress(w.pool, w.store, all, projections.ProgressOptions{})
	run(t, progress)
	run(t, projections.NewRunner(w.pool, w.store, all, projections.RunnerOptions{Progress: progress}))
	return progress
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

// within gives a context for waits that should take milliseconds.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func waitAll(t testing.TB, progress *projections.Progress, position eventstore.Position) {
	t.Helper()
	if err := progress.WaitAll(within(t, 30*time.Second), position); err != nil {
		t.Fatalf("WaitAll(%d): %v; status %+v", position, err, progress.Status())
	}
}

// eventually asks until the answer is yes.
func eventually(t testing.TB, what string, yes func() bool) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			t.Fatalf("it did not come to pass that %s", what)
		case <-tick.C:
		}
	}
}

// dump is all rows of the read models, as text.
func (w *world) dump(t testing.TB) string {
	t.Helper()
	var all strings.Builder
	for _, p := range readmodels.All() {
		for _, table := range p.Tables {
			rows, err := w.admin.Query(t.Context(), `SELECT t::text FROM `+table+` t ORDER BY 1`)
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				var row string
				if err := rows.Scan(&row); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(&all, table, row)
			}
			if rows.Err() != nil {
				t.Fatal(rows.Err())
			}
		}
	}
	return all.String()
}

// empty throws the read models away.
func (w *world) empty(t testing.TB) {
	t.Helper()
	var tables []string
	for _, p := range readmodels.All() {
		tables = append(tables, p.Tables...)
	}
	if _, err := w.admin.Exec(t.Context(), `TRUNCATE projection_checkpoints, `+strings.Join(tables, ", ")); err != nil {
		t.Fatal(err)
	}
}

// logLines is a logger that counts what it is told.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
