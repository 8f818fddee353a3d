package postgres_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func newDatabase(t testing.TB) *pgtest.Database {
	t.Helper()
	return pgtest.New(t, pgtest.Migrated)
}

func newStore(t testing.TB, url string, options postgres.Options) *postgres.Store {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 4 // many stores are open at once
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	store := postgres.New(t.Context(), pool, options)
	t.Cleanup(store.Close)
	return store
}

// The store runs as the server does, with the server's rights.
func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) eventstore.Store {
		return newStore(t, newDatabase(t).ServerURL, postgres.Options{})
	})
}

func TestClosedStoreIsUnavailable(t *testing.T) {
	t.Parallel()
	store := newStore(t, newDatabase(t).ServerURL, postgres.Options{})
	sub := store.Subscribe(0, eventstore.Filter{})
	store.Close()
	if _, err := store.Append(t.Context(), "a-1", eventstore.NoStream(), storetest.NewDraft("a.x")); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("Append = %v, want ErrUnavailable", err)
	}
	if _, err := sub.Next(t.Context()); err != nil {
		t.Errorf("Next on what is there = %v", err) // reading needs only the pool
	}
	if _, err := sub.Next(t.Context()); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("Next at the end = %v, want ErrUnavailable", err)
	}
}
