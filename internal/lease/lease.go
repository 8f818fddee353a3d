// Package lease gives one process at a time the right to do something, over
// all processes that share a database.
//
// A lease is an advisory lock of a session: the database gives it to another
// process as soon as that session ends, however its process did. The session of
// a process that is frozen or cut off does not end by itself: the database ends
// it when nothing was heard of it for [Silence]. Start with [Leases]. Whoever
// holds a lease may learn late that it is gone, so what it writes must be fenced
// as well.
package lease

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/internal/pg"
)

// heartbeat is how often the session that holds the leases is looked after.
const heartbeat = time.Second

const answerTimeout = 3 * time.Second // for statements that take no time

// Silence is how long a process keeps its leases without a sign of life. A
// machine that answers for it, or a proxy, is no such sign.
const Silence = 5 * time.Second

// ErrLost is why the context of a lease ends when the lease does.
var ErrLost = errors.New("the session that held the lease is gone")

// Leases are those of one process, all of one session. It is safe for
// concurrent use.
type Leases struct {
	pool *pgxpool.Pool
	name string // of the session

	mu   sync.Mutex // guards what follows, and is held while the connection is used
	conn *pgx.Conn  // nil when there is none
	held map[string]context.CancelCauseFunc
}

// New makes an empty set. The session, which has the name, is opened beside the
// pool when the first lease is asked for.
func New(pool *pgxpool.Pool, name string) *Leases {
	return &Leases{pool: pool, name: name, held: make(map[string]context.CancelCauseFunc)}
}

// Key is the advisory lock of a lease; such locks belong to one database.
func Key(name string) int64 {
	digest := fnv.New64a()
	digest.Write([]byte("agentidp " + name))
	return int64(digest.Sum64())
}

// Held lists those of the named leases that some process has at the moment, as the database of the pool knows it.
func Held(ctx context.Context, pool *pgxpool.Pool, names ...string) ([]string, error) {
	const locks = `
SELECT (classid::bigint << 32) | objid::bigint FROM pg_catalog.pg_locks
 WHERE locktype = 'advisory' AND granted AND objsubid = 1
   AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())`
	rows, err := pool.Query(ctx, locks)
	if err != nil {
		return nil, err
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, err
	}
	var held []string
	for _, name := range names {
		if slices.Contains(keys, Key(name)) {
			held = append(held, name)
		}
	}
	return held, nil
}

// Acquire tries to get a lease. With it comes a context that ends with the
// lease; without it (another process has it), nil.
func (l *Leases) Acquire(ctx context.Context, name string) (context.Context, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		conn, err := l.open(ctx)
		if err != nil {
			return nil, err
		}
		l.conn = conn
	}
	queryCtx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var mine bool
	if err := l.conn.QueryRow(queryCtx, `SELECT pg_try_advisory_lock($1)`, Key(name)).Scan(&mine); err != nil {
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

// open begins a session that ends with the silence of this process.
func (l *Leases) open(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pg.Connect(ctx, l.pool, l.name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	const bound = `SELECT set_config('idle_session_timeout', $1, false)`
	if _, err := conn.Exec(ctx, bound, strconv.FormatInt(Silence.Milliseconds(), 10)); err != nil {
		pg.Discard(conn)
		return nil, err
	}
	return conn, nil
}

// Release gives a lease back. Its context has ended after that.
func (l *Leases) Release(name string) {
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
	if _, err := l.conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, Key(name)); err != nil {
		l.drop()
	}
}

// Keep notices when the session is gone, until end is called, which closes the
// session and waits for that: call it after the last use of a lease, so that a
// successor finds nothing under way.
func (l *Leases) Keep() (end func()) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.watch(ctx)
	}()
	return func() {
		stop()
		<-ended
	}
}

func (l *Leases) watch(ctx context.Context) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-beat.C:
			l.check(ctx)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
}

func (l *Leases) check(ctx context.Context) {
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
func (l *Leases) drop() {
	if l.conn == nil {
		return
	}
	for name, end := range l.held {
		end(ErrLost)
		delete(l.held, name)
	}
	pg.Discard(l.conn)
	l.conn = nil
}
