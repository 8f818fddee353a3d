package system_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/internal/pgtest"
)

// take binds a port for the length of a test.
func take(tb testing.TB) (port int, listener net.Listener) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	address, _ := listener.Addr().(*net.TCPAddr)
	return address.Port, listener
}

// nowhere are settings under which nothing can be reached.
func nowhere(tb testing.TB, more ...string) []string {
	tb.Helper()
	return append([]string{
		fmt.Sprintf("DATABASE_URL=postgres://agentidp:secret-password@127.0.0.1:%d/agentidp", freePort(tb)),
		"REDIS_URL=redis://127.0.0.1:1/0",
		"MASTER_KEY_FILE=" + filepath.Join(tb.TempDir(), "master.key"),
		"LISTEN_HOST=127.0.0.1", "LOG_LEVEL=error", "PORT=" + strconv.Itoa(freePort(tb)),
	}, more...)
}

// mustFail checks that a run ended as it should, with one line of complaint
// that contains some texts and no secret.
func mustFail(tb testing.TB, r result, code int, contains ...string) {
	tb.Helper()
	lines := r.lines()
	if r.code != code || len(lines) != 1 {
		tb.Fatalf("code %d and %d lines, want %d and one:\n%s", r.code, len(lines), code, r.stderr)
	}
	for _, text := range contains {
		if !strings.Contains(lines[0], text) {
			tb.Errorf("%q does not contain %q", lines[0], text)
		}
	}
	if strings.Contains(r.stderr, "secret-password") {
		tb.Errorf("a password is shown: %s", r.stderr)
	}
	if r.stdout != "" {
		tb.Errorf("standard output %q, want nothing", r.stdout)
	}
}

func TestFiveFaultsAreFiveLinesBeforeAnythingElse(t *testing.T) {
	t.Parallel()
	port, _ := take(t) // binding it would be another failure
	r := runToEnd(t, []string{
		"DATABASE_URL=mysql://root:secret-password@127.0.0.1/agentidp",
		"JWT_SIGNING_ALG=none",
		"EVENTSTORE=paper",
		"METRICS_PORT=70000",
		"PORT=" + strconv.Itoa(port),
		"MASTER_KEY_FILE=" + filepath.Join(t.TempDir(), "master.key"),
	}, "serve")
	lines := r.lines()
	if r.code != exitBadUsage || len(lines) != 5 {
		t.Fatalf("code %d and %d lines, want %d and 5:\n%s", r.code, len(lines), exitBadUsage, r.stderr)
	}
	for _, name := range []string{"DATABASE_URL", "REDIS_URL", "METRICS_PORT", "JWT_SIGNING_ALG", "EVENTSTORE"} {
		count := 0
		for _, line := range lines {
			if strings.HasPrefix(line, name+": ") {
				count++
			}
		}
		if count != 1 {
			t.Errorf("%d lines about %s, want one:\n%s", count, name, r.stderr)
		}
	}
	if strings.Contains(r.stderr, "secret-password") {
		t.Errorf("a password is shown: %s", r.stderr)
	}
}

func TestPortThatIsTakenIsOneLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "LOG_LEVEL=error")
	port, _ := take(t)
	for _, setting := range []string{"PORT", "METRICS_PORT"} {
		environ := append(append([]string{}, w.settings...), "PORT="+strconv.Itoa(freePort(t)), setting+"="+strconv.Itoa(port))
		mustFail(t, runToEnd(t, environ, "serve"), exitFailed, "port "+strconv.Itoa(port), setting)
	}
}

func TestDatabaseThatCannotBeReachedIsOneLineWithinSeconds(t *testing.T) {
	t.Parallel()
	silentPort, silent := take(t)
	go func() { // accepts, and never says a word
		var held []net.Conn
		for {
			conn, err := silent.Accept()
			if err != nil {
				break
			}
			held = append(held, conn)
		}
		for _, conn := range held {
			_ = conn.Close()
		}
	}()
	for _, command := range []string{"serve", "migrate", "bootstrap"} {
		for name, more := range map[string][]string{
			"nobody listens": nil,
			"somebody who does not answer": {
				fmt.Sprintf("DATABASE_URL=postgres://agentidp:secret-password@127.0.0.1:%d/agentidp", silentPort),
				"DB_POOL_CONNECTION_TIMEOUT_MS=1000",
			},
		} {
			t.Run(command+" "+name, func(t *testing.T) {
				t.Parallel()
				const limit = 10 * time.Second
				p := launch(t, nowhere(t, more...), command)
				mustFail(t, p.wait(t, limit), exitFailed, "database")
			})
		}
	}
}

func TestDatabaseThatIsNotMigratedSaysWhatToDo(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t, pgtest.Template{})
	w := emptyWorld(t, database.ServerURL, database.OwnerURL, pgtest.Redis(t), "LOG_LEVEL=error")
	for _, command := range []string{"serve", "bootstrap"} {
		environ := append(append([]string{}, w.settings...), "PORT="+strconv.Itoa(freePort(t)))
		mustFail(t, runToEnd(t, environ, command), exitFailed, "agentidp migrate")
	}
}

func TestWrongMasterKeyIsOneLine(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t, "LOG_LEVEL=error"), newWorld(t)
	missing := filepath.Join(t.TempDir(), "master.key")
	for name, path := range map[string]string{"another one": other.setting("MASTER_KEY_FILE"), "none": missing} {
		environ := append(append([]string{}, w.settings...), "PORT="+strconv.Itoa(freePort(t)), "MASTER_KEY_FILE="+path)
		t.Run(name, func(t *testing.T) { mustFail(t, runToEnd(t, environ, "serve"), exitFailed, "master key") })
	}
}
