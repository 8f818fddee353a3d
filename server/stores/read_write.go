package stores

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sentryagent/agentidp/internal/pg"
)

// demandReadWrite has each new connection, the pool's and those made beside it,
// go to a server that takes writes; of several hosts in the URL the first that
// does. A standby knows of revocations only later, so it must not vouch for a
// token. Whatever the URL says about target_session_attrs gives way.
func demandReadWrite(c *pgx.ConnConfig) {
	c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
}

// abandonReadOnly closes a connection whose server has refused a write because
// it has become read-only: the next one is made to a server that takes writes,
// or there is none, and /health says so.
func abandonReadOnly(conn *pgx.Conn, err error) {
	const patience = time.Second
	if !pg.Is(err, pg.ReadOnlyTransaction) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = conn.PgConn().Close(ctx)
}
