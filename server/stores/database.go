package stores

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/pg"
	"github.com/sentryagent/agentidp/migrations"
)

// OpenDatabase connects as the server's role and makes sure that somebody answers.
func OpenDatabase(ctx context.Context, c config.Config) (*pgxpool.Pool, error) {
	return openDatabase(ctx, c, "DATABASE_URL", nil, becomeServer)
}

// OpenObserved is [OpenDatabase] of a server, which goes where writes are taken and
// counts its queries in registry.
func OpenObserved(ctx context.Context, c config.Config, registry prometheus.Registerer) (*pgxpool.Pool, error) {
	return openDatabase(ctx, c, "DATABASE_URL", observeQueries(registry), becomeServer)
}

// OpenDatabaseForReading is [OpenDatabase] also for a login that may read everything
// and may not work as the server.
func OpenDatabaseForReading(ctx context.Context, c config.Config) (*pgxpool.Pool, error) {
	return openDatabase(ctx, c, "DATABASE_URL", nil, becomeReader)
}

// openDatabase measures queries where observe is not nil; become gives each
// session its rights. Errors call the URL by the name of its setting.
func openDatabase(ctx context.Context, c config.Config, setting string, observe pgx.QueryTracer, become func(context.Context, *pgx.Conn) error) (*pgxpool.Pool, error) {
	options, err := pgxpool.ParseConfig(c.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("%s is not a PostgreSQL URL", setting)
	}
	options.MaxConns, options.MinConns = int32(c.DBPoolMax), int32(c.DBPoolMin)
	options.MaxConnIdleTime = c.DBPoolIdleTimeout
	options.ConnConfig.ConnectTimeout = c.DBPoolConnectionTimeout
	options.ConnConfig.RuntimeParams["application_name"] = "agentidp"
	if observe != nil { // a server
		demandReadWrite(options.ConnConfig)
	}
	err = reach(ctx, c, setting, options.ConnConfig, func(ctx context.Context) error { return checkPooling(ctx, options.ConnConfig) })
	if err != nil {
		return nil, err
	}
	options.AfterConnect = become
	if observe != nil {
		options.ConnConfig.Tracer = observe
	}
	pool, err := pgxpool.NewWithConfig(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if err := reach(ctx, c, setting, options.ConnConfig, pool.Ping); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// Migrate brings the schema up to date, as the owner of the database, lets the
// server's login work as the server, and tells what it has done.
func Migrate(ctx context.Context, c config.Config) (done migrations.Done, err error) {
	options, err := pgx.ParseConfig(c.MigrateDatabaseURL)
	if err != nil {
		return done, errors.New("MIGRATE_DATABASE_URL is not a PostgreSQL URL")
	}
	server, err := pgx.ParseConfig(c.DatabaseURL)
	if err != nil {
		return done, errors.New("DATABASE_URL is not a PostgreSQL URL")
	}
	err = reach(ctx, c, "DATABASE_URL", options, func(ctx context.Context) error {
		connection, err := pgx.ConnectConfig(ctx, options)
		if err == nil {
			err = connection.Close(ctx)
		}
		return err
	})
	if err != nil {
		return done, err
	}
	if done, err = migrations.Up(ctx, c.MigrateDatabaseURL, server.User); pg.Is(err, pg.ReadOnlyTransaction) {
		return done, fmt.Errorf("the database at %s:%d is read-only, as a standby is: migrate the primary", options.Host, options.Port)
	}
	return done, err
}

// reach tries a connection within the bound of the configuration. The error is
// one line that says where, and what to look at.
func reach(ctx context.Context, c config.Config, setting string, options *pgx.ConnConfig, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.DBPoolConnectionTimeout)
	defer cancel()
	err := try(ctx)
	if wrong, ok := errors.AsType[wrongSession](err); ok {
		return wrong
	}
	if err != nil {
		return fmt.Errorf("the database at %s:%d cannot be reached: check %s and that PostgreSQL runs (%s)",
			options.Host, options.Port, setting, Reason(err))
	}
	return nil
}

// Reason is why a connection failed, in a few words and without its URL.
func Reason(err error) string {
	var refused *pgconn.PgError
	var network *net.OpError
	switch {
	case strings.Contains(err.Error(), "read only connection"):
		return "it is read-only: a standby, or a primary set to read-only; the server needs the primary"
	case errors.As(err, &refused):
		return refused.Message
	case errors.As(err, &network):
		return network.Err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return "no connection"
}
