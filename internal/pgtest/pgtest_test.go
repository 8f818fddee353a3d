package pgtest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func execSQL(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

func mustExec(tb testing.TB, url, sql string) {
	tb.Helper()
	if err := execSQL(tb.Context(), url, sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

func TestTemplateIsPreparedOnceForManyIsolatedDatabases(t *testing.T) {
	t.Parallel()
	var prepared atomic.Int32
	template := pgtest.Template{
		Key: t.Name(),
		Prepare: func(ctx context.Context, ownerURL string) error {
			prepared.Add(1)
			return execSQL(ctx, ownerURL, `CREATE TABLE facts (n int PRIMARY KEY); GRANT SELECT, INSERT ON facts TO agentidp`)
		},
	}
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, template)
			pool := pgtest.Pool(t, db.ServerURL)
			if _, err := pool.Exec(t.Context(), `INSERT INTO facts VALUES (1)`); err != nil {
				t.Errorf("insert what another test's database has too: %v", err)
			}
			if _, err := pool.Exec(t.Context(), `DELETE FROM facts`); err == nil {
				t.Error("the server's role deletes without having the right")
			}
			mustExec(t, db.OwnerURL, `CREATE TABLE more (n int)`)
			mustExec(t, db.SuperuserURL, `SET session_replication_role = replica; DELETE FROM facts`)
			if n := prepared.Load(); n > 1 {
				t.Errorf("prepared %d times, want once", n)
			}
		})
	}
}

func TestEmptyTemplate(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Template{})
	mustExec(t, db.OwnerURL, `CREATE TABLE facts (n int)`)
	if err := execSQL(t.Context(), db.ServerURL, `CREATE TABLE mine (n int)`); err == nil {
		t.Error("the server's role makes tables")
	}
}

func TestDatabaseIsDroppedWithItsTest(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("inner", func(t *testing.T) {
		url = pgtest.New(t, pgtest.Template{}).OwnerURL
		mustExec(t, url, `SELECT`)
	})
	if err := execSQL(t.Context(), url, `SELECT`); err == nil {
		t.Error("the database outlived its test")
	}
}

func TestRedisDatabasesAreDistinctAndEmpty(t *testing.T) {
	t.Parallel()
	const tests = 20
	var seen sync.Map
	for n := range tests {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			url := pgtest.Redis(t)
			options, err := redis.ParseURL(url)
			if err != nil {
				t.Fatal(err)
			}
			if other, taken := seen.LoadOrStore(options.DB, n); taken || options.DB == 0 {
				t.Errorf("database %d is test %v's", options.DB, other)
			}
			client := redis.NewClient(options)
			defer client.Close()
			size, err := client.DBSize(t.Context()).Result()
			if err != nil || size != 0 {
				t.Errorf("size %d, error %v, want an empty database", size, err)
			}
			if err := client.Set(t.Context(), "left", "behind", 0).Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPrivateServicesCanBeStopped(t *testing.T) {
	t.Parallel()
	services := pgtest.Private(t)
	if err := services.StopRedis(t.Context()); err != nil {
		t.Error(err)
	}
	if err := services.RestartPostgres(t.Context()); err != nil {
		t.Error(err)
	}
	mustExec(t, services.DatabaseURL, `SELECT`)
}
