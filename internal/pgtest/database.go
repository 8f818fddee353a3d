package pgtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Template is what a test's database is copied from.
type Template struct {
	// Key stands for all that Prepare does: a template is prepared once per instance and key, over all test processes.
	// Change it when the result changes, for example by hashing the migrations.
	Key string
	// Prepare fills an empty database, as its owner; it must close its connections before it returns. Two Prepares never
	// run at the same time, but roles are the instance's, not the database's: make them only if they do not exist.
	// Nil leaves the database empty.
	Prepare func(ctx context.Context, ownerURL string) error
}

// Database is one test's own database.
type Database struct {
	OwnerURL     string // role agentidp_owner, which owns it and runs migrations
	ServerURL    string // role agentidp, the server's, with the rights that the template gives it
	SuperuserURL string // may do everything, such as tampering with the ledger
}

// New gives tb a database copied from t, dropped when tb ends, connections or not. Settings and grants *of* the
// template database (ALTER DATABASE … SET, GRANT … ON DATABASE) are not copied by PostgreSQL, all that is in it is.
func New(tb testing.TB, t Template) *Database {
	tb.Helper()
	i := use(tb)
	ctx, cancel := context.WithTimeout(tb.Context(), 5*time.Minute)
	defer cancel()
	template, err := i.template(ctx, t)
	if err != nil {
		tb.Fatalf("pgtest: prepare the template database: %v", err)
	}
	name := "agentidp_test_" + randomHex(8)
	if _, err := i.admin.Exec(ctx, fmt.Sprintf(`CREATE DATABASE %s TEMPLATE %s OWNER %s`, name, template, ownerRole)); err != nil {
		tb.Fatalf("pgtest: create the test's database: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := i.admin.Exec(ctx, fmt.Sprintf(`DROP DATABASE %s WITH (FORCE)`, name)); err != nil {
			tb.Errorf("pgtest: drop the test's database: %v", err)
		}
	})
	return &Database{OwnerURL: i.url(ownerRole, name), ServerURL: i.url(serverRole, name), SuperuserURL: i.url("", name)}
}

// Pool gives a pool on url, closed when tb ends.
func Pool(tb testing.TB, url string) *pgxpool.Pool {
	tb.Helper()
	pool, err := pgxpool.New(tb.Context(), url)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

// template gives the name of t's database and makes it if it is not there. It gets its name only when it is complete.
func (i *instance) template(ctx context.Context, t Template) (string, error) {
	name := "agentidp_template_" + hex.EncodeToString(hash(t.Key))[:16]
	exists := func(q interface {
		QueryRow(context.Context, string, ...any) pgx.Row
	}) (found bool, err error) {
		err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&found)
		return found, err
	}
	if found, err := exists(i.admin); err != nil || found {
		return name, err
	}
	return name, i.locked(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		if found, err := exists(conn); err != nil || found {
			return err // another test came first
		}
		return i.makeTemplate(ctx, conn, name, t)
	})
}

func (i *instance) makeTemplate(ctx context.Context, conn *pgx.Conn, name string, t Template) error {
	unfinished := name + "_unfinished"
	if _, err := conn.Exec(ctx, fmt.Sprintf(`DROP DATABASE IF EXISTS %s WITH (FORCE)`, unfinished)); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, fmt.Sprintf(`CREATE DATABASE %s TEMPLATE template0 OWNER %s`, unfinished, ownerRole)); err != nil {
		return err
	}
	if err := giveSchema(ctx, i.url("", unfinished)); err != nil {
		return err
	}
	if t.Prepare != nil {
		if err := t.Prepare(ctx, i.url(ownerRole, unfinished)); err != nil {
			return err
		}
	}
	_, err := conn.Exec(ctx, fmt.Sprintf(`ALTER DATABASE %s RENAME TO %s`, unfinished, name))
	return err
}

// giveSchema makes versions before 15 like those since: schema public belongs to the owner alone.
func giveSchema(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `ALTER SCHEMA public OWNER TO `+ownerRole+`; REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	return errors.Join(err, conn.Close(ctx))
}

func hash(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
