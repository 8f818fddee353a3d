package server

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/migrations"
)

// storage is where a server keeps things: the ledger in an engine, what is derived
// from it in PostgreSQL, counts in Redis. What is nil has not been opened.
type storage struct {
	pool  *pgxpool.Pool
	redis *redis.Client
	store Engine
}

func (s *storage) open(ctx context.Context, f frame) (err error) {
	c := f.config
	if s.pool, err = openDatabase(ctx, c, "DATABASE_URL", observeQueries(f.registry), becomeServer); err != nil {
		return err
	}
	if err := migrations.Check(ctx, s.pool); err != nil {
		return err
	}
	if err := tellWeaknesses(ctx, s.pool, f.logger); err != nil {
		return err
	}
	if s.redis, err = openRedis(c.RedisURL, observeCommands(f.registry)); err != nil {
		return err
	}
	if err := checkEngine(ctx, s.pool, c); err != nil {
		return err
	}
	if warning := config.TransportOf(c.ESDBURL).Warning(); warning != "" && c.EventStore == config.EventStoreESDB {
		f.logger.WarnContext(ctx, warning+"; see docs/runbooks/eventstoredb.md")
	}
	s.store, err = openEngine(ctx, c, s.pool, f.logger, f.registry)
	return err
}

// openRedis makes a client that notices at once when Redis is away: nothing that
// needs it has no other way.
func openRedis(url string, observe redis.Hook) (*redis.Client, error) {
	const patience = 500 * time.Millisecond
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("REDIS_URL is not a Redis URL")
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = patience, patience, patience
	options.MaxRetries, options.DialerRetries = -1, 1
	logging.Disable() // the client's writing to standard error: what matters of it comes back as errors
	client := redis.NewClient(options)
	client.AddHook(observe)
	return client, nil
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
