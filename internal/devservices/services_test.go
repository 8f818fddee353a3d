package devservices_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/internal/devservices"
)

func start(tb testing.TB, o devservices.Options) *devservices.Services {
	tb.Helper()
	services, err := devservices.Start(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := services.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return services
}

// reachableDir is a temporary directory that every user may pass through, unlike tb.TempDir.
func reachableDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "agentidp-devservices-")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

func exec(tb testing.TB, url, sql string) error {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), url)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(tb.Context(), sql)
	return err
}

func mustExec(tb testing.TB, url, sql string) {
	tb.Helper()
	if err := exec(tb, url, sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}

func ping(tb testing.TB, url string) error {
	tb.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		tb.Fatal(err)
	}
	options.MaxRetries = -1
	client := redis.NewClient(options)
	defer client.Close()
	return client.Ping(tb.Context()).Err()
}

func TestDataAndURLsSurviveStopAndStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(reachableDir(t), ".agentidp")
	first := start(t, devservices.Options{Dir: dir})
	mustExec(t, first.OwnerDatabaseURL, `CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)`)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	second := start(t, devservices.Options{Dir: dir})
	if first.DatabaseURL != second.DatabaseURL || first.RedisURL != second.RedisURL {
		t.Error("the URLs changed although nobody took the ports")
	}
	mustExec(t, second.OwnerDatabaseURL, `INSERT INTO kept SELECT n + 1 FROM kept`)
	if err := ping(t, second.RedisURL); err != nil {
		t.Error(err)
	}

	env, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	want := "DATABASE_URL=" + second.DatabaseURL + "\nMIGRATE_DATABASE_URL=" + second.OwnerDatabaseURL + "\nREDIS_URL=" + second.RedisURL + "\n"
	if string(env) != want {
		t.Errorf("env = %s\nwant %s", env, want)
	}
	for _, name := range []string{"env", "state.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600 (%v)", name, info.Mode(), err)
		}
	}

	if _, err := devservices.Start(t.Context(), devservices.Options{Dir: dir}); !errors.Is(err, devservices.ErrInUse) {
		t.Errorf("a second Start in the same directory gives %v, want ErrInUse", err)
	}
}

func TestServerRoleHasNoRightsOfItsOwn(t *testing.T) {
	t.Parallel()
	s := start(t, devservices.Options{Dir: reachableDir(t), Volatile: true})
	mustExec(t, s.OwnerDatabaseURL, `CREATE TABLE secrets (n int); CREATE ROLE agentidp_server NOLOGIN; GRANT agentidp_server TO agentidp`)
	for _, sql := range []string{`CREATE TABLE mine (n int)`, `SELECT n FROM secrets`, `CREATE ROLE mine`} {
		err := exec(t, s.DatabaseURL, sql)
		var refusal *pgconn.PgError
		if !errors.As(err, &refusal) || refusal.Code != "42501" {
			t.Errorf("%s: %v, want insufficient_privilege", sql, err)
		}
	}
	mustExec(t, s.OwnerDatabaseURL, `GRANT SELECT ON secrets TO agentidp_server`)
	mustExec(t, s.DatabaseURL, `SELECT n FROM secrets`)
}

func TestPasswordsAreAskedFor(t *testing.T) {
	t.Parallel()
	s := start(t, devservices.Options{Dir: reachableDir(t), Volatile: true})
	config, err := pgx.ParseConfig(s.SuperuserURL)
	if err != nil {
		t.Fatal(err)
	}
	config.Password = "guess"
	var refusal *pgconn.PgError
	if _, err := pgx.ConnectConfig(t.Context(), config); !errors.As(err, &refusal) || refusal.Code != "28P01" {
		t.Errorf("a wrong password gives %v, want invalid_password", err)
	}
	_, host, _ := strings.Cut(s.RedisURL, "@")
	if err := ping(t, "redis://"+host); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("no Redis password gives %v, want NOAUTH", err)
	}
}

func TestServicesRestartOnTheSamePorts(t *testing.T) {
	t.Parallel()
	s := start(t, devservices.Options{Dir: reachableDir(t), Volatile: true})
	mustExec(t, s.OwnerDatabaseURL, `CREATE TABLE kept (n int)`)
	if err := s.RestartPostgres(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustExec(t, s.OwnerDatabaseURL, `INSERT INTO kept VALUES (1)`)

	if err := s.StopRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ping(t, s.RedisURL); err == nil {
		t.Error("Redis answers after StopRedis")
	}
	if err := s.StartRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ping(t, s.RedisURL); err != nil {
		t.Error(err)
	}
}

func TestVolatileDataIsRemoved(t *testing.T) {
	t.Parallel()
	dir := reachableDir(t)
	s := start(t, devservices.Options{Dir: dir, Volatile: true})
	location, err := os.ReadFile(filepath.Join(dir, "data-location"))
	if err != nil {
		t.Fatal(err)
	}
	data := strings.TrimSpace(string(location))
	if _, err := os.Stat(filepath.Join(data, "postgres", "PG_VERSION")); err != nil {
		t.Error(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s after Stop: %v, want it gone", data, err)
	}
}

// As root, tb.TempDir lies below a directory that only root passes through.
func TestDirectoryThatOnlyRootReaches(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, devservices.Options{Dir: dir, Volatile: true})
	mustExec(t, s.DatabaseURL, `SELECT`)
}

func TestFailureToStartShowsTheLog(t *testing.T) {
	t.Parallel()
	dir := reachableDir(t)
	s := start(t, devservices.Options{Dir: dir})
	location, err := os.ReadFile(filepath.Join(dir, "data-location"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	version := filepath.Join(strings.TrimSpace(string(location)), "postgres", "PG_VERSION")
	if err := os.WriteFile(version, []byte("7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = devservices.Start(t.Context(), devservices.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "incompatible with server") {
		t.Errorf("error %v, want the log's reason", err)
	}
}
