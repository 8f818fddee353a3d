package server

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/server/stores"
)

// storage is where a server keeps things: the ledger in an engine, what is derived
// from it in PostgreSQL, counts in Redis. What is nil has not been opened.
type storage struct {
	pool  *pgxpool.Pool
	redis *redis.Client
	store stores.Engine
}

func (s *storage) open(ctx context.Context, f frame) (err error) {
	c := f.config
	if s.pool, err = stores.OpenObserved(ctx, c, f.registry); err != nil {
		return err
	}
	if err := migrations.Check(ctx, s.pool); err != nil {
		return err
	}
	if err := tellWeaknesses(ctx, s.pool, f.logger); err != nil {
		return err
	}
	if s.redis, err = stores.OpenRedis(c.RedisURL, f.registry); err != nil {
		return err
	}
	if err := stores.CheckEngine(ctx, s.pool, c); err != nil {
		return err
	}
	if warning := config.TransportOf(c.ESDBURL).Warning(); warning != "" && c.EventStore == config.EventStoreESDB {
		f.logger.WarnContext(ctx, warning+"; see docs/runbooks/eventstoredb.md")
	}
	s.store, err = stores.OpenEngine(ctx, c, s.pool, f.logger, f.registry)
	return err
}

func (s *storage) close() {
	if s.store != nil {
		s.store.Close()
	}
	if s.redis != nil {
		_ = s.redis.Close()
	}
	if s.pool != nil {
		s.pool.Close()
	}
}

// tellWeaknesses tells operators of guards of the ledger that do not stand as they
// should, as after pg_restore --disable-triggers. A server works without them.
func tellWeaknesses(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) error {
	weak, err := migrations.Weaknesses(ctx, pool)
	for _, what := range weak {
		logger.WarnContext(ctx, "the database guards less than it should: run agentidp migrate, which sets it right", "found", what)
	}
	return err
}
