// Package pg has what all users of PostgreSQL need: connections beside the pool,
// and what an error of the database means.
package pg

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ConnectTimeout bounds [Connect].
const ConnectTimeout = 3 * time.Second

// keepAlive has the database notice within seconds when our machine is gone, and
// end the session and its locks. It is said after connecting: a pooler refuses
// what it does not know of the start of a session.
const keepAlive = `SELECT set_config('tcp_keepalives_idle', '2', false), set_config('tcp_keepalives_interval', '1', false),
	set_config('tcp_keepalives_count', '3', false)`

// Connect makes a connection beside the pool, configured as the pool's own. Its
// session lives as long as it is needed, so it must not go through a pooler that
// shares sessions, and it keeps its prepared statements.
func Connect(ctx context.Context, pool *pgxpool.Pool, name string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, ConnectTimeout)
	defer cancel()
	config := pool.Config()
	c := config.ConnConfig
	c.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	c.RuntimeParams["application_name"] = name
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, c); err != nil {
			return nil, err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	if config.AfterConnect != nil {
		err = config.AfterConnect(ctx, conn)
	}
	if err == nil {
		_, err = conn.Exec(ctx, keepAlive)
	}
	if err != nil {
		Discard(conn)
		return nil, err
	}
	return conn, nil
}

// Discard closes a connection of which nothing good is expected.
func Discard(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // it is gone either way
}
