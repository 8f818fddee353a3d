package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// Nobody changes the ledger: neither the server's login nor the owner, nor the
// superuser with triggers silenced.
func TestTheLedgerIsAppendOnly(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	store := newStore(t, db.ServerURL, postgres.Options{})
	if _, err := store.Append(t.Context(), "a-1", eventstore.NoStream(), storetest.NewDraft("a.x")); err != nil {
		t.Fatal(err)
	}
	for name, url := range map[string]string{"server": db.ServerURL, "owner": db.OwnerURL, "superuser": db.SuperuserURL} {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer discardConn(t, conn)
		if name == "superuser" {
			if _, err := conn.Exec(t.Context(), "SET session_replication_role = replica"); err != nil {
				t.Fatal(err)
			}
		}
		for _, statement := range []string{
			"UPDATE events SET type = 'a.y'",
			"UPDATE events SET type = 'a.y' WHERE false",
			"DELETE FROM events",
			"TRUNCATE events",
			"DELETE FROM ledger_head",
			"TRUNCATE ledger_head",
			"UPDATE ledger_head SET position = position - 1",
		} {
			_, err := conn.Exec(t.Context(), statement)
			var refused *pgconn.PgError
			if !errors.As(err, &refused) || refused.Code != "42501" {
				t.Errorf("%s: %s: %v, want insufficient_privilege", name, statement, err)
				continue
			}
			if name != "server" && (!strings.Contains(refused.Message, "append-only") || refused.Hint == "") {
				t.Errorf("%s: %s: %q (%q), want it to say why and what to do", name, statement, refused.Message, refused.Hint)
			}
		}
	}
	if got := len(verifyDense(t, store)); got != 1 {
		t.Errorf("%d events, want 1", got)
	}
}

func discardConn(t *testing.T, conn *pgx.Conn) {
	if err := conn.Close(t.Context()); err != nil {
		t.Logf("close: %v", err)
	}
}
