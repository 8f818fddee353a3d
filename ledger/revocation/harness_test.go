package revocation_test

import (
	"flag"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/ledger/ledgertest"
)

func TestMain(m *testing.M) {
	// Histories take a database's time; -rapid.checks asks for more of them.
	if err := flag.Set("rapid.checks", "15"); err != nil {
		panic(err)
	}
	pgtest.Main(m)
}

// world is a migrated database with a ledger in it.
type world struct {
	pool  *pgxpool.Pool // as the server
	admin *pgxpool.Pool // as superuser
	store *postgres.Store
}

func newWorld(t testing.TB) *world {
	t.Helper()
	db := pgtest.New(t, pgtest.Migrated)
	pool := pgtest.Pool(t, db.ServerURL)
	store := postgres.New(t.Context(), pool, postgres.Options{})
	t.Cleanup(store.Close)
	return &world{pool: pool, admin: pgtest.Pool(t, db.SuperuserURL), store: store}
}

// What happened, in the words of these tests.
var (
	draft  = ledgertest.Draft
	record = ledgertest.Record

	newAgentID        = ledgertest.NewAgentID
	newOrganizationID = ledgertest.NewOrganizationID
	newCredentialID   = ledgertest.NewCredentialID
	newTokenID        = ledgertest.NewTokenID
	newDelegationID   = ledgertest.NewDelegationID
	newStream         = ledgertest.NewStream

	created   = ledgertest.Created
	issued    = ledgertest.Issued
	delegated = ledgertest.Delegated
)
