package system_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/sentryagent/agentidp/internal/devservices"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/test/chaos"
)

// standbyOf is a streaming standby of the world's PostgreSQL.
func standbyOf(t *testing.T, services *devservices.Services) *devservices.Standby {
	t.Helper()
	standby, err := services.StartStandby(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return standby
}

// through is a database URL with other hosts.
func through(t *testing.T, databaseURL, hosts string) (changed, host string) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	host, u.Host = u.Host, hosts
	return u.String(), host
}

// A name that moves to a standby which is behind must not bring a revoked token
// back to life: a node that reaches no server that takes writes says so.
func TestAReplicaVouchesForNoToken(t *testing.T) {
	t.Parallel()
	w, services := newPrivateWorld(t)
	standby := standbyOf(t, services)
	_, primary := through(t, services.DatabaseURL, "")
	proxy, err := chaos.NewProxy(t.Context(), primary)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	proxied, _ := through(t, services.DatabaseURL, proxy.Address())
	direct, moved := w.serve(t), w.serve(t, "DATABASE_URL="+proxied)
	owner := direct.tenant(t, w)
	token := direct.mustToken(t, owner.agent, owner.secret, "")
	moved.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil)

	following := pgtest.Pool(t, standby.SuperuserURL)
	if _, err := following.Exec(t.Context(), `SELECT pg_wal_replay_pause()`); err != nil {
		t.Fatal(err)
	}
	proxy.Point(standby.Address)
	revoked, err := direct.form(within(t, patience), "/oauth2/revoke", owner.agent, owner.secret, url.Values{"token": {token}})
	if err != nil || revoked.status != http.StatusOK {
		t.Fatalf("revoke: %v, %v", revoked, err)
	}
	for range 20 {
		if r, err := moved.call(within(t, patience), http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil); err == nil && r.status != http.StatusServiceUnavailable {
			t.Fatalf("the node on the standby answers a revoked token with %v, want 503", r)
		}
	}
	if r := moved.must(t, http.StatusServiceUnavailable, http.MethodGet, "/health", "", nil); r.text("status") != "unhealthy" {
		t.Errorf("/health on the standby: %v", r)
	}
	proxy.Point(primary)
	await(t, "the node to find the primary again", func(ctx context.Context) error {
		return wantStatus(moved.call(ctx, http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil))(http.StatusUnauthorized)
	})
	moved.healthy(t, patience)
}

// Of several hosts in the URL the one that takes writes is used, whichever that
// is, without a word from anybody.
func TestAListOfHostsSurvivesARestartOfThePrimary(t *testing.T) {
	t.Parallel()
	w, services := newPrivateWorld(t)
	standby := standbyOf(t, services)
	_, primary := through(t, services.DatabaseURL, "")
	hosts, _ := through(t, services.DatabaseURL, standby.Address+","+primary)
	s := w.serve(t, "DATABASE_URL="+hosts)
	owner := s.tenant(t, w)
	if err := services.StopPostgres(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	await(t, "/health to say that no server takes writes", func(ctx context.Context) error {
		return wantStatus(s.call(ctx, http.MethodGet, "/health", "", nil))(http.StatusServiceUnavailable)
	})
	if r, err := s.token(within(t, patience), owner.agent, owner.secret, ""); err != nil || r.status != http.StatusServiceUnavailable {
		t.Errorf("a token while only the standby is there: %v, %v; want 503", r, err)
	}
	if err := services.StartPostgres(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	await(t, "tokens to be issued again", func(ctx context.Context) error {
		return wantStatus(s.token(ctx, owner.agent, owner.secret, ""))(http.StatusOK)
	})
	s.healthy(t, patience)

	// The standby takes over for good, with all that was acknowledged: one that lacks
	// some of it is not written on.
	following := pgtest.Pool(t, standby.SuperuserURL)
	var written string
	if err := w.superuser(t).QueryRow(t.Context(), `SELECT pg_current_wal_flush_lsn()::text`).Scan(&written); err != nil {
		t.Fatal(err)
	}
	await(t, "the standby to have it all", func(ctx context.Context) error {
		var has bool
		err := following.QueryRow(ctx, `SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn`, written).Scan(&has)
		if err == nil && !has {
			err = errors.New("it is behind")
		}
		return err
	})
	if err := services.StopPostgres(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := following.Exec(t.Context(), `SELECT pg_promote()`); err != nil {
		t.Fatal(err)
	}
	await(t, "tokens to be issued by way of the promoted standby", func(ctx context.Context) error {
		return wantStatus(s.token(ctx, owner.agent, owner.secret, ""))(http.StatusOK)
	})
}

// wantStatus is an error unless an answer has a status.
func wantStatus(r reply, err error) func(status int) error {
	return func(status int) error {
		if err == nil && r.status != status {
			err = fmt.Errorf("got %v, want %d", r, status)
		}
		return err
	}
}

// A server that was set to read-only while connections to it are open.
func TestAServerThatBecomesReadOnlyIsNoticed(t *testing.T) {
	t.Parallel()
	w, services := newPrivateWorld(t)
	s := w.serve(t)
	owner := s.tenant(t, w)
	super := pgtest.Pool(t, services.SuperuserURL)
	set := func(value string) {
		t.Helper()
		for _, statement := range []string{`ALTER SYSTEM SET default_transaction_read_only = ` + value, `SELECT pg_reload_conf()`} {
			if _, err := super.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	set("on")
	await(t, "/health to say that the database is read-only", func(ctx context.Context) error {
		return wantStatus(s.call(ctx, http.MethodGet, "/health", "", nil))(http.StatusServiceUnavailable)
	})
	if r, err := s.token(within(t, patience), owner.agent, owner.secret, ""); err != nil || r.status != http.StatusServiceUnavailable {
		t.Errorf("a token: %v, %v; want 503", r, err)
	}
	if r := runToEnd(t, append(w.settings, fmt.Sprint("PORT=", freePort(t))), "serve"); r.code == exitOK {
		t.Errorf("another server starts: %s", r.stderr)
	}
	set("off")
	await(t, "tokens to be issued again", func(ctx context.Context) error {
		return wantStatus(s.token(ctx, owner.agent, owner.secret, ""))(http.StatusOK)
	})
}
