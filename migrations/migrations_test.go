package migrations_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func up(ctx context.Context, ownerURL string) error {
	_, err := migrations.Up(ctx, ownerURL)
	return err
}

func TestUpAppliesWhatIsMissingOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Template{Key: "empty"})
	pool := pgtest.Pool(t, db.OwnerURL)
	pending, err := migrations.Pending(t.Context(), pool)
	if err != nil || len(pending) == 0 || pending[0] != "00001_ledger.sql" {
		t.Fatalf("Pending on an empty database = %v, %v", pending, err)
	}
	if err := migrations.Check(t.Context(), pool); !errors.Is(err, migrations.ErrBehind) ||
		!strings.Contains(err.Error(), pending[0]) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Check on an empty database = %v, want ErrBehind in one line naming what is missing", err)
	}
	done, err := migrations.Up(t.Context(), db.OwnerURL)
	if err != nil || !slices.Equal(done.Applied, pending) {
		t.Fatalf("Up = %v, %v, want %v", done, err, pending)
	}
	done, err = migrations.Up(t.Context(), db.OwnerURL)
	if err != nil || len(done.Applied) != 0 || len(done.Mended) != 0 {
		t.Errorf("Up again = %v, %v, want nothing", done, err)
	}
	// The server asks with its own rights.
	if err := migrations.Check(t.Context(), pgtest.Pool(t, db.ServerURL)); err != nil {
		t.Errorf("Check as the server = %v", err)
	}
}

func TestManyProcessesMayMigrateAtOnce(t *testing.T) {
	t.Parallel()
	one := pgtest.New(t, pgtest.Template{Key: "empty"})
	other := pgtest.New(t, pgtest.Template{Key: "empty"})
	var all sync.WaitGroup
	var mu sync.Mutex // guards applied
	applied := make(map[string][]string)
	for range 4 {
		for _, url := range []string{one.OwnerURL, other.OwnerURL} {
			all.Go(func() {
				done, err := migrations.Up(t.Context(), url)
				if err != nil {
					t.Errorf("Up: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				applied[url] = append(applied[url], done.Applied...)
			})
		}
	}
	all.Wait()
	for url, names := range applied {
		if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) || len(names) == 0 {
			t.Errorf("applied to %s: %v, want each once", url, names)
		}
	}
}

// The server's login writes to the ledger at once, and has the rights of the
// projector only where it says so.
func TestTheServerWidensItsViewOnlyExplicitly(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Migrated)
	owner, server := connect(t, db.OwnerURL), connect(t, db.ServerURL)
	exec(t, owner, "CREATE TABLE wide (x int)", "GRANT SELECT ON wide TO agentidp_projector",
		"ALTER TABLE wide ENABLE ROW LEVEL SECURITY",
		"CREATE POLICY all_rows ON wide TO agentidp_projector USING (true)", "INSERT INTO wide VALUES (1)")

	exec(t, server, "SELECT FROM events", "SELECT position FROM ledger_head FOR UPDATE")
	if code := refusal(t, server, "SELECT FROM wide"); code != "42501" {
		t.Errorf("the server reads what is the projector's: SQLSTATE %q", code)
	}
	exec(t, server, "BEGIN", "SET LOCAL ROLE agentidp_projector")
	var rows int
	if err := server.QueryRow(t.Context(), "SELECT count(*) FROM wide").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("as the projector: %d rows, %v, want 1", rows, err)
	}
	exec(t, server, "COMMIT")
	if code := refusal(t, server, "SELECT FROM wide"); code != "42501" {
		t.Errorf("after the transaction the server still reads what is the projector's: SQLSTATE %q", code)
	}
	for _, statement := range []string{
		"INSERT INTO ledger_head (singleton, position) VALUES (true, 1)",
		"DELETE FROM ledger_head",
		"ALTER TABLE events DISABLE TRIGGER ALL",
		"DROP TABLE events",
		"CREATE TABLE mine ()",
		"UPDATE goose_db_version SET is_applied = false",
	} {
		if code := refusal(t, server, statement); code != "42501" {
			t.Errorf("server: %s: SQLSTATE %q, want insufficient_privilege", statement, code)
		}
	}
	// One URL for everything: the owner can do what the server does.
	exec(t, owner, "BEGIN", "SET LOCAL ROLE agentidp_server", "SELECT FROM events",
		"SET LOCAL ROLE agentidp_projector", "SELECT FROM wide", "COMMIT")
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func refusal(t *testing.T, conn *pgx.Conn, statement string) (code string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), statement)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Code
	}
	return ""
}
