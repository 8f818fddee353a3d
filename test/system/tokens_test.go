package system_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// restored is the world after its database has been lost and a backup put in its
// place.
func (w *world) restored(tb testing.TB, backup string) *world {
	tb.Helper()
	settings := slices.Clone(w.settings)
	for _, name := range []string{"DATABASE_URL", "MIGRATE_DATABASE_URL"} {
		database, err := url.Parse(w.setting(name))
		if err != nil {
			tb.Fatal(err)
		}
		database.Path = backup
		settings = append(settings, name+"="+database.String())
	}
	again := *w
	again.settings = settings
	return &again
}

// backup copies the database; nobody may be connected to it.
func (w *world) backup(tb testing.TB) (name string) {
	tb.Helper()
	database, err := url.Parse(w.setting("DATABASE_URL"))
	if err != nil {
		tb.Fatal(err)
	}
	name = strings.TrimPrefix(database.Path, "/")
	conn, err := pgx.Connect(tb.Context(), w.superuserURL)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	copied := name + "_backup"
	if _, err := conn.Exec(tb.Context(), `CREATE DATABASE `+pgx.Identifier{copied}.Sanitize()+` TEMPLATE `+pgx.Identifier{name}.Sanitize()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if _, err := conn.Exec(context.Background(), `DROP DATABASE `+pgx.Identifier{copied}.Sanitize()+` WITH (FORCE)`); err != nil {
			tb.Error(err)
		}
	})
	return copied
}

func TestWhatALostLedgerIssuedIsRefusedAfterARestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := func(s *node) {
		t.Helper()
		s.signal(t, syscall.SIGTERM)
		s.wait(t, patience)
	}
	s := w.serve(t)
	owner := s.tenant(t, w)
	before := s.mustToken(t, owner.agent, owner.secret, "")
	stop(s)
	backup := w.backup(t)
	s = w.serve(t)
	lost := s.mustToken(t, owner.agent, owner.secret, "")
	s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+owner.agent, lost, nil)
	if r := runToEnd(t, w.settings, "tokens", "end"); r.code != exitBadUsage || !strings.Contains(r.stderr, "stop all servers first") {
		t.Errorf("while a server runs: code %d, want %d\n%s", r.code, exitBadUsage, r.stderr)
	}
	stop(s)

	w = w.restored(t, backup)
	s = w.serve(t)
	s.must(t, http.StatusUnauthorized, http.MethodGet, "/api/v1/agents/"+owner.agent, lost, nil)
	s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+owner.agent, before, nil)
	told, err := s.form(within(t, patience), "/oauth2/introspect", owner.agent, owner.secret, url.Values{"token": {lost}})
	if err != nil || told.status == http.StatusOK && told.body["active"] != false {
		t.Errorf("introspection of what was lost: %v, %v", told, err)
	}
	stop(s)

	if r := runToEnd(t, w.settings, "tokens", "end"); r.code != exitOK {
		t.Fatalf("code %d\n%s", r.code, r.stderr)
	}
	s = w.serve(t)
	for range 5 { // the ledger grows past the place of what was lost
		s.mustToken(t, owner.agent, owner.secret, "")
	}
	for _, token := range []string{lost, before} {
		s.must(t, http.StatusUnauthorized, http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil)
	}
	s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+owner.agent, s.mustToken(t, owner.agent, owner.secret, ""), nil)
}
