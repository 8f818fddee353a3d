package stores

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Engine is the ledger's store, of the kind that the configuration names. Read
// models, snapshots and keys are in PostgreSQL with any of them.
type Engine interface {
	eventstore.Store
	Close()
}

// OpenEngine opens the ledger's store; the pool is that of the read models.
// Where registry is not nil the engine is measured.
func OpenEngine(ctx context.Context, c config.Config, pool *pgxpool.Pool, logger *slog.Logger, registry prometheus.Registerer) (Engine, error) {
	var observe func(eventstore.AppendObservation)
	if registry != nil {
		observe = observeAppends(registry)
	}
	if c.EventStore == config.EventStorePostgres {
		return postgres.New(ctx, pool, postgres.Options{Logger: logger, Observe: observe}), nil
	}
	options := esdb.Options{Logger: logger, Observe: observe, Lease: c.ESDBLease}
	if registry != nil {
		options.ObserveState = observeEventStore(registry)
	}
	store, err := openEventStore(c.ESDBURL, options)
	if err != nil {
		return nil, fmt.Errorf("ESDB_URL: %w", err)
	}
	return store, nil
}

// openEventStore opens the ledger that a URL names, the server's only one where
// it names none.
func openEventStore(url string, options esdb.Options) (*esdb.Store, error) {
	options.Streams = domain.IsStream
	server, ledger := config.CutLedger(url)
	if ledger != "" {
		options.Prefix = ledger + "/"
	}
	return esdb.New(server, options)
}

// NewQueries asks the read models, and the ledger where it is not beside them.
func NewQueries(c config.Config, pool *pgxpool.Pool, store eventstore.Store) *readmodels.Queries {
	q := readmodels.NewQueries(pool)
	if c.EventStore != config.EventStorePostgres {
		q = q.WithLedger(store)
	}
	return q
}
