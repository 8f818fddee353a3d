package projections

import (
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// heartbeat is how often the session that holds the leases is looked after.
const heartbeat = time.Second

var errLeaseLost = errors.New("the session that held the lease is gone")

// leases are the right to run projections: advisory locks of one session,
// which the database gives to another process when that session ends.
type leases struct {
	pool *pgxpool.Pool

	mu   sync.Mutex // guards what follows, and is held while the connection is used
	conn *pgx.Conn  // nil when there is none
	held map[string]context.CancelCauseFunc
}

func newLeases(pool *pgxpool.Pool) *leases {
	return &leases{pool: pool, held: make(map[string]context.CancelCauseFunc)}
}

// lockKey is the advisory lock of a projection; such locks belong to one database.
func lockKey(name string) int64 {
	digest := fnv.New64a()
	digest.Write([]byte("agentidp projection " + name))
	return int64(digest.Sum64())
}

// acquire tries to get the lease of a projection. With it comes a context that
// ends with the lease; without it (another process has it), nil.
func (l *leases) acquire(ctx context.Context, name string) (context.Context, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		conn, err := connect(ctx, l.pool, "agentidp projections")
		if err != nil {
			return nil, err
		}
		l.conn = conn
	}
	queryCtx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var mine bool
	if err := l.conn.QueryRow(queryCtx, `SELECT pg_try_advisory_lock($1)`, lockKey(name)).Scan(&mine); err != nil {
		l.drop()
		return nil, err
	}
	if !mine {
		return nil, nil
	}
	held, end := context.WithCancelCause(ctx)
	l.held[name] = end
	return held, nil
}

// release gives a lease back. Its context has ended after that.
func (l *leases) release(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, ok := l.held[name]
	if !ok {
		return // lost before
	}
	delete(l.held, name)
	end(nil)
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	if _, err := l.conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, lockKey(name)); err != nil {
		l.drop()
	}
}

// keep notices, until ctx ends, when the session is gone; then it closes it.
func (l *leases) keep(ctx context.Context) {
	for pause(ctx, heartbeat) {
		l.check(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
}

func (l *leases) check(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := l.conn.Ping(ctx); err != nil {
		l.drop()
	}
}

// drop ends the session and all leases with it. The caller holds mu.
func (l *leases) drop() {
	if l.conn == nil {
		return
	}
	for name, end := range l.held {
		end(errLeaseLost)
		delete(l.held, name)
	}
	discard(l.conn)
	l.conn = nil
}
