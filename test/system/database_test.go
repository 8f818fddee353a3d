package system_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/devservices"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/server/stores"
)

// loginURL is the URL of a login on a database of private services.
func loginURL(tb testing.TB, services *devservices.Services, login, database string) string {
	tb.Helper()
	u, err := url.Parse(services.SuperuserURL)
	if err != nil {
		tb.Fatal(err)
	}
	u.Path = "/" + database
	if login != "" {
		u.User = url.UserPassword(login, "secret-"+login)
	}
	return u.String()
}

// sql runs statements one by one.
func sql(tb testing.TB, databaseURL string, statements ...string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), databaseURL)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, statement := range statements {
		if _, err := conn.Exec(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

// loginFor makes a login with rights.
func loginFor(name, rights string) string {
	return fmt.Sprintf("CREATE ROLE %s LOGIN %s PASSWORD 'secret-%s'", name, rights, name)
}

// journey is what a client of the API does, from registration to proof.
func journey(t *testing.T, w *world) {
	t.Helper()
	s := w.serve(t)
	owner := s.tenant(t, w)
	own := "/api/v1/agents/" + owner.agent
	token := s.mustToken(t, owner.agent, owner.secret, "")
	s.must(t, http.StatusOK, http.MethodGet, own, token, nil)
	rotated := s.must(t, http.StatusOK, http.MethodPost, own+"/credentials/"+owner.credential+"/rotate", owner.operatorToken, map[string]any{})
	s.must(t, http.StatusUnauthorized, http.MethodGet, own, token, nil)
	token = s.mustToken(t, owner.agent, rotated.text("clientSecret"), "")
	if r := s.must(t, http.StatusOK, http.MethodGet, "/api/v1/audit?agentId="+owner.agent, token, nil); !strings.Contains(string(r.raw), "credential.rotated") {
		t.Errorf("the audit trail does not show the rotation: %s", r)
	}
	s.must(t, http.StatusNoContent, http.MethodDelete, own+"/credentials/"+owner.credential, owner.operatorToken, nil)
	s.must(t, http.StatusUnauthorized, http.MethodGet, own, token, nil)
	mustProve(t, w)
}

// mustProve verifies the ledger by the program's own command.
func mustProve(t *testing.T, w *world) {
	t.Helper()
	if r := runToEnd(t, w.settings, "ledger", "verify", "--live"); r.code != exitOK || !strings.Contains(r.stdout+r.stderr, "intact") {
		t.Errorf("verify: code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// One login that owns the database and serves, or two with names of their own.
func TestDatabaseWithOneURLAndWithTwoLogins(t *testing.T) {
	t.Parallel()
	for name, logins := range map[string][2]string{"one": {"solo", "solo"}, "two": {"keeper", "walker"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			services := pgtest.Private(t)
			owner, server := logins[0], logins[1]
			sql(t, services.SuperuserURL, loginFor(owner, "CREATEROLE"), "CREATE DATABASE idp OWNER "+owner)
			if server != owner {
				sql(t, services.SuperuserURL, loginFor(server, ""))
			}
			w := emptyWorld(t, loginURL(t, services, server, "idp"), loginURL(t, services, owner, "idp"), services.RedisURL)
			if server == owner {
				w.settings = append(w.settings, "MIGRATE_DATABASE_URL=")
			}
			w.superuserURL = services.SuperuserURL
			w.prepare(t)
			journey(t, w)
			sql(t, services.SuperuserURL, "ALTER ROLE "+owner+" NOCREATEROLE")
			if r := runToEnd(t, w.settings, "migrate"); r.code != exitOK || !strings.Contains(r.stdout, "nothing to do") {
				t.Errorf("migrate again, without CREATEROLE: %d %s%s", r.code, r.stdout, r.stderr)
			}
		})
	}
}

// What a login lacks is said with what to type.
func TestDatabaseRefusalsSayWhatToType(t *testing.T) {
	t.Parallel()
	services := pgtest.Private(t)
	sql(t, services.SuperuserURL, loginFor("solo", ""), loginFor("stranger", ""), "CREATE DATABASE idp OWNER solo")
	solo := loginURL(t, services, "solo", "idp")
	w := emptyWorld(t, solo, solo, services.RedisURL, "LOG_LEVEL=error")
	mustFail(t, runToEnd(t, w.settings, "migrate"), exitFailed, `ALTER ROLE "solo" CREATEROLE`)
	sql(t, services.SuperuserURL, `ALTER ROLE "solo" CREATEROLE`)
	if r := runToEnd(t, w.settings, "migrate"); r.code != exitOK {
		t.Fatalf("migrate: %s", r.stderr)
	}
	stranger := append(append([]string{}, w.settings...), "DATABASE_URL="+loginURL(t, services, "stranger", "idp"), "LOG_LEVEL=error", "PORT="+strconv.Itoa(freePort(t)))
	mustFail(t, runToEnd(t, stranger, "serve"), exitFailed, `GRANT agentidp_server TO "stranger"`)
	sql(t, solo, `GRANT agentidp_server TO "stranger"`)
	if r := runToEnd(t, stranger, "bootstrap"); r.code != exitOK {
		t.Errorf("after the grant: %s", r.stderr)
	}
}

// A head that a restore has left out is called that, not an end that is gone, and
// what is said to be typed mends it.
func TestDatabaseWhoseHeadIsBehindItsEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "LOG_LEVEL=error")
	admin := w.superuser(t)
	for _, statement := range []string{"ALTER TABLE ledger_head DISABLE TRIGGER ALL", "UPDATE ledger_head SET position = 0", "ALTER TABLE ledger_head ENABLE TRIGGER ALL"} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	const typed = "UPDATE ledger_head SET position = (SELECT max(position) FROM events)"
	environ := append(append([]string{}, w.settings...), "LOG_LEVEL=error", "PORT="+strconv.Itoa(freePort(t)))
	mustFail(t, runToEnd(t, environ, "serve"), exitFailed, typed)
	if r := runToEnd(t, w.settings, "ledger", "verify", "--live"); r.code != exitBadUsage || !strings.Contains(r.stderr, typed) {
		t.Errorf("verify: %d %s%s", r.code, r.stdout, r.stderr)
	}
	sql(t, w.setting("MIGRATE_DATABASE_URL"), typed)
	if r := runToEnd(t, w.settings, "migrate"); r.code != exitOK || !strings.Contains(r.stdout, "set right: the trigger ledger_head_stays") {
		t.Errorf("migrate: %d %s%s", r.code, r.stdout, r.stderr)
	}
	mustProve(t, w)
}

// On a database that takes no writes reading works, and writing says why it does not.
func TestDatabaseThatIsReadOnlySaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	s.tenant(t, w)
	awaitCheckpoint(t, w)
	s.tenant(t, w) // what the last checkpoint does not have
	s.kill(t)
	if _, err := w.superuser(t).Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`); err != nil {
		t.Fatal(err)
	}
	mustProve(t, w)
	if r := runToEnd(t, w.settings, "ledger", "checkpoint"); r.code == exitOK || !strings.Contains(r.stderr, "read-only, as a standby is") {
		t.Errorf("checkpoint: %d %s%s", r.code, r.stdout, r.stderr)
	}
}

// awaitCheckpoint waits until the logs have something that can be signed.
func awaitCheckpoint(t *testing.T, w *world) {
	t.Helper()
	await(t, "a checkpoint", func(context.Context) error {
		if r := runToEnd(t, w.settings, "ledger", "checkpoint"); r.code != exitOK {
			return errors.New(r.stderr)
		}
		return nil
	})
}

// rightsIn is what protects a database, as text.
const rightsIn = `SELECT concat_ws(E'\n',
	(SELECT string_agg(concat_ws(' ', tablename, policyname, permissive, roles, cmd, qual, with_check), E'\n' ORDER BY tablename, policyname) FROM pg_policies),
	(SELECT string_agg(concat_ws(' ', c.relname, c.relrowsecurity, c.relforcerowsecurity, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(c.relacl) a WHERE a::text !~ '^agentidp_owner=')), E'\n' ORDER BY c.relname)
		FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'),
	(SELECT string_agg(concat_ws(' ', attrelid::regclass, attname, attacl), E'\n' ORDER BY attrelid::regclass::text, attname) FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid::regclass::text !~ '^pg_'),
	(SELECT string_agg(concat_ws(' ', proname, proowner::regrole, proconfig, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(proacl) a)), E'\n' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
	(SELECT string_agg(concat_ws(' ', tgrelid::regclass, tgname, tgenabled), E'\n' ORDER BY tgrelid::regclass::text, tgname) FROM pg_trigger WHERE NOT tgisinternal),
	(SELECT string_agg(concat_ws(' ', m.roleid::regrole, m.member::regrole), E'\n' ORDER BY m.roleid::regrole::text, m.member::regrole::text) FROM pg_auth_members m WHERE m.roleid::regrole::text ~ '^agentidp_(server|projector)$' AND m.member::regrole::text <> 'postgres'),
	(SELECT datacl::text FROM pg_database WHERE datname = current_database()))`

// A dump comes back on a cluster that has nothing but the two logins, however it
// was restored: migrate makes again what the dump cannot have.
func TestDatabaseRestoredOnAnotherCluster(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("pg_dump"); err != nil {
		t.Skip("SKIPPED: pg_dump is not installed")
	}
	w, services := newPrivateWorld(t)
	s := w.serve(t)
	owner := s.tenant(t, w)
	s.mustToken(t, owner.agent, owner.secret, "")
	sql(t, services.SuperuserURL, loginFor("agentidp_backup", "BYPASSRLS"), "GRANT pg_read_all_data TO agentidp_backup")
	dump := filepath.Join(t.TempDir(), "agentidp.dump")
	output, err := exec.CommandContext(t.Context(), "pg_dump", "--format=custom", "--file="+dump, loginURL(t, services, "agentidp_backup", "agentidp")).CombinedOutput()
	if err != nil {
		if strings.Contains(string(output), "server version mismatch") {
			t.Skipf("SKIPPED: %s", output)
		}
		t.Fatalf("pg_dump: %v\n%s", err, output)
	}
	want := rights(t, loginURL(t, services, "", "agentidp"), services.SuperuserURL)
	for name, restore := range map[string]struct {
		roles  bool // made before
		flags  []string
		errors bool
	}{
		"with the roles made before": {roles: true},
		"without":                    {errors: true},
		"without privileges":         {flags: []string{"--no-privileges"}, errors: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			elsewhere := pgtest.Private(t)
			if restore.roles {
				sql(t, elsewhere.OwnerDatabaseURL, "CREATE ROLE agentidp_server NOLOGIN NOINHERIT", "CREATE ROLE agentidp_projector NOLOGIN")
			}
			args := append([]string{"--no-owner", "--dbname=" + elsewhere.OwnerDatabaseURL}, append(restore.flags, dump)...)
			output, err := exec.CommandContext(t.Context(), "pg_restore", args...).CombinedOutput()
			var ended *exec.ExitError
			if restore.errors != errors.As(err, &ended) {
				t.Fatalf("pg_restore: %v\n%s", err, output)
			}
			there := *w
			there.settings = append(append([]string{}, w.settings...), "DATABASE_URL="+elsewhere.DatabaseURL, "MIGRATE_DATABASE_URL="+elsewhere.OwnerDatabaseURL, "REDIS_URL="+elsewhere.RedisURL,
				"CHECKPOINT_FILE="+filepath.Join(t.TempDir(), "checkpoints")) // what the others sign is no past of this one
			there.superuserURL = elsewhere.SuperuserURL
			environ := append(append([]string{}, there.settings...), "LOG_LEVEL=error", "PORT="+strconv.Itoa(freePort(t)))
			mustFail(t, runToEnd(t, environ, "serve"), exitFailed, "agentidp migrate")
			if r := runToEnd(t, there.settings, "migrate"); r.code != exitOK || strings.Contains(r.stdout, "applied") {
				t.Fatalf("migrate: %d %s%s", r.code, r.stdout, r.stderr)
			}
			mustProve(t, &there)
			if got := rights(t, loginURL(t, elsewhere, "", "agentidp"), elsewhere.SuperuserURL); got != want {
				t.Errorf("what protects the restored database is\n%s\nwant\n%s", got, want)
			}
			again := there.serve(t)
			again.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+owner.agent, again.mustToken(t, owner.agent, owner.secret, ""), nil)
		})
	}
}

func rights(t *testing.T, databaseURL, superuserURL string) (text string) {
	t.Helper()
	u, err := url.Parse(superuserURL)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	at.User = u.User
	conn, err := pgx.Connect(t.Context(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), rightsIn).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// Through PgBouncer in session mode a server works, with the server's rights alone
// whoever logs in. Where sessions are shared it says so and does not start.
func TestDatabaseBehindPgBouncer(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("pgbouncer"); err != nil {
		t.Skip("SKIPPED: pgbouncer is not installed; make test-pg installs it")
	}
	w, services := newPrivateWorld(t, "DB_POOL_MAX=10")
	for _, mode := range []string{"session", "transaction", "statement"} {
		pooled := startPgBouncer(t, services, mode)
		through := *w
		through.settings = append(append([]string{}, w.settings...), "DATABASE_URL="+pooled)
		if mode != "session" {
			environ := append(append([]string{}, through.settings...), "LOG_LEVEL=error", "PORT="+strconv.Itoa(freePort(t)))
			mustFail(t, runToEnd(t, environ, "serve"), exitFailed, "pool_mode = session")
			continue
		}
		journey(t, &through)
		settings, err := config.Load(through.settings, "")
		if err != nil {
			t.Fatal(err)
		}
		pool, err := stores.OpenDatabase(t.Context(), settings)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		var role string
		var secured bool
		if err := pool.QueryRow(t.Context(), `SELECT current_user, row_security_active('agents')`).Scan(&role, &secured); err != nil || role != "agentidp_server" || !secured {
			t.Errorf("the session works as %s, row-level security %v, %v", role, secured, err)
		}
	}
}

// startPgBouncer starts a pooler before private services and gives the URL of the
// owner's login through it.
func startPgBouncer(t *testing.T, services *devservices.Services, mode string) string {
	t.Helper()
	direct, err := url.Parse(services.OwnerDatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := direct.User.Password()
	port := freePort(t)
	files := pgBouncerFiles(t, map[string]string{
		"users.txt": fmt.Sprintf("%q %q\n", direct.User.Username(), password),
	}, func(dir string) string {
		return fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s/users.txt
pool_mode = %s
default_pool_size = 30
`, direct.Port(), port, dir, mode)
	})
	runPgBouncer(t, files)
	pooled := *direct
	pooled.Host = "127.0.0.1:" + strconv.Itoa(port)
	await(t, "pgbouncer answers", func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, pooled.String())
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	return pooled.String()
}
