package system_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// holdLedger keeps everybody from appending until release is called.
func holdLedger(tb testing.TB, pool *pgxpool.Pool) (release func()) {
	tb.Helper()
	return hold(tb, pool, `BEGIN`, `SELECT position FROM ledger_head FOR UPDATE`)
}

type answer struct {
	reply reply
	err   error
}

func askInBackground(ctx context.Context, c *client, who *tenant) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		r, err := c.token(ctx, who.agent, who.secret, "")
		answers <- answer{r, err}
	}()
	return answers
}

func TestTerminatedServerFinishesRequestsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.serve(t)
			owner := s.tenant(t, w)
			pool := w.superuser(t)
			release := holdLedger(t, pool)
			inFlight := askInBackground(within(t, patience), s.client, owner)
			waiting(t, pool, 1)

			s.signal(t, signal)
			await(t, "the server to stop accepting", func(ctx context.Context) error {
				conn, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(s.port))
				if err == nil {
					_ = conn.Close()
					return fmt.Errorf("port %d is open", s.port)
				}
				return nil
			})
			release()
			got := <-inFlight
			if got.err != nil || got.reply.status != http.StatusOK {
				t.Errorf("the request in flight got %v, %v; want 200", got.reply, got.err)
			}
			if r := s.wait(t, patience); r.code != exitOK {
				t.Errorf("code %d, want 0; standard error:\n%s", r.code, r.stderr)
			}
			await(t, "the server's sessions to be gone", func(ctx context.Context) error {
				var left string
				const who = `SELECT coalesce(string_agg(application_name, ', '), '') FROM pg_stat_activity
					WHERE datname = current_database() AND application_name LIKE 'agentidp%'`
				if err := pool.QueryRow(ctx, who).Scan(&left); err != nil {
					return err
				}
				if left != "" {
					return fmt.Errorf("left: %s", left)
				}
				return nil
			})
			w.mustHoldInLedger(t, []string{got.reply.text("access_token")})
		})
	}
}

func TestShutdownTimeoutBoundsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t, "SHUTDOWN_TIMEOUT_MS=500")
	owner := s.tenant(t, w)
	pool := w.superuser(t)
	release := holdLedger(t, pool)
	defer release()
	inFlight := askInBackground(within(t, patience), s.client, owner)
	waiting(t, pool, 1)
	begin := time.Now()
	s.signal(t, syscall.SIGTERM)
	r := s.wait(t, patience)
	const limit = 8 * time.Second // the timeout, and a group commit that is under way
	if took := time.Since(begin); took > limit {
		t.Errorf("it took %s to stop, want at most %s", took, limit)
	}
	if r.code != exitFailed || !strings.Contains(r.stderr, "requests were cut off after 500ms") {
		t.Errorf("code %d, want %d and a line that says that requests were cut off:\n%s", r.code, exitFailed, r.stderr)
	}
	if got := <-inFlight; got.err == nil && got.reply.status == http.StatusOK {
		t.Errorf("the request in flight got %v although its event could not be stored", got.reply)
	}
}

// A load balancer learns that a server stops before its port is closed, and
// nobody is refused until then.
func TestATerminatedServerDrainsBeforeItsPortIsClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "DRAIN_SECONDS=5")
	s := w.serve(t)
	owner := s.tenant(t, w)
	s.healthy(t, patience)
	s.signal(t, syscall.SIGTERM)
	s.awaitOutput(t, &s.stderr, `"msg":"draining"`)
	health := s.must(t, http.StatusServiceUnavailable, http.MethodGet, "/health", "", nil)
	if health.text("status") != "unhealthy" || health.body["draining"] != true {
		t.Errorf("/health while draining: %v", health)
	}
	s.must(t, http.StatusOK, http.MethodGet, "/health/live", "", nil)
	fresh := newClient(t, "http://127.0.0.1:"+strconv.Itoa(s.port))
	fresh.mustToken(t, owner.agent, owner.secret, "")
	request, err := http.NewRequestWithContext(within(t, patience), http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(s.port)+"/health/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if !response.Close {
		t.Error("an answer while draining does not close its connection")
	}
	if r := s.wait(t, patience); r.code != exitOK {
		t.Errorf("code %d\n%s", r.code, r.stderr)
	}
}
