package stores

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/migrations"
)

// errNotALedger describes a URL without its value, which may hold a password.
var errNotALedger = errors.New("must be postgres://…, esdb://… or esdb+discover://…")

// OpenLedgerAt opens the ledger that a URL names, of whichever engine: that of a
// PostgreSQL, whose database must be migrated, or of an EventStoreDB. It is asked
// whether it is there. No error shows the URL. Close the engine.
func OpenLedgerAt(ctx context.Context, url string) (Engine, error) {
	scheme, _, _ := strings.Cut(url, "://")
	switch scheme {
	case "postgres", "postgresql":
		return openPostgresAt(ctx, url)
	case "esdb", "esdb+discover":
		store, err := openEventStore(url, esdb.Options{})
		if err != nil {
			return nil, err
		}
		if _, err := store.Head(ctx); err != nil {
			store.Close()
			return nil, fmt.Errorf("%s cannot be reached: %w", config.Place(url), err)
		}
		return store, nil
	}
	return nil, errNotALedger
}

// pooled is an engine with the pool that it was given.
type pooled struct {
	*postgres.Store
	pool *pgxpool.Pool
}

// Close implements [Engine].
func (p pooled) Close() {
	p.Store.Close()
	p.pool.Close()
}

func openPostgresAt(ctx context.Context, url string) (Engine, error) {
	const connections, patience = 4, 5 * time.Second
	pool, err := openDatabase(ctx, config.Config{
		DatabaseURL: url, DBPoolMax: connections, DBPoolIdleTimeout: time.Minute, DBPoolConnectionTimeout: patience,
	}, "the URL", nil, becomeServer)
	if err != nil {
		return nil, err
	}
	if err := migrations.Check(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return pooled{postgres.New(ctx, pool, postgres.Options{}), pool}, nil
}
