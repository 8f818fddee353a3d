package keys

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/follow"
)

// Serve has this process count as a server that serves the keys it knows, until its
// lease is over. Call it again and again.
func (k *Keeper) serve(ctx context.Context) error {
	const report = `INSERT INTO signing_key_servers (server, kids) VALUES ($1, $2)
		ON CONFLICT (server) DO UPDATE SET kids = EXCLUDED.kids, seen_at = now()`
	kids := []string{}
	for _, key := range k.ring.PublicKeys() {
		kids = append(kids, key.KID)
	}
	_, err := k.pool.Exec(ctx, report, k.server, kids)
	return err
}

// leave says that this process serves no more, and forgets servers that never said so.
func (k *Keeper) leave(ctx context.Context) error {
	_, err := k.pool.Exec(ctx, `DELETE FROM signing_key_servers WHERE server = $1 OR seen_at < now() - interval '1 day'`, k.server)
	return err
}

// live selects the servers that have been heard of within a lease.
const live = `SELECT kids FROM signing_key_servers WHERE seen_at > now() - $1::interval`

// Servers are those on the database.
type Servers struct {
	Live    int // they say which keys they serve
	Unknown int // of a version that does not say, as far as one can see
}

// Servers counts the servers. One that says nothing is seen by its session.
func (k *Keeper) Servers(ctx context.Context) (s Servers, err error) {
	const count = `SELECT (SELECT count(*) FROM (` + live + `) AS live),
		(SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND application_name = $2)`
	var sessions int
	err = k.pool.QueryRow(ctx, count, k.Timing.Lease, follow.Session).Scan(&s.Live, &sessions)
	s.Unknown = max(0, sessions-s.Live)
	return s, err
}

// everyoneServes reports whether there are servers, all of them are known, and each
// serves a key.
func (k *Keeper) everyoneServes(ctx context.Context, kid string) (bool, error) {
	servers, err := k.Servers(ctx)
	if err != nil || servers.Live == 0 || servers.Unknown > 0 {
		return false, err
	}
	var all bool
	err = k.pool.QueryRow(ctx, `SELECT coalesce(bool_and($2 = ANY (kids)), false) FROM (`+live+`) AS live`, k.Timing.Lease, kid).Scan(&all)
	return all, err
}

// markServed remembers since when every live server serves a key.
func (k *Keeper) markServed(ctx context.Context, kid string, at time.Time) error {
	_, err := k.pool.Exec(ctx, `UPDATE signing_keys SET served_at = $2 WHERE kid = $1 AND served_at IS NULL`, kid, at)
	return err
}
