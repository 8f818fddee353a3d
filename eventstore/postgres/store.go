// Package postgres is the engine that keeps the ledger in one PostgreSQL
// database, in the tables of migration 00001_ledger.sql.
//
// # Appending
//
// Appends of a process are committed in groups. [Store.Append] puts its events
// into a queue and waits; one writer goroutine takes what is waiting, locks
// the ledger's head row, checks each append by itself, seals the events,
// inserts all of them and commits once. What fails, fails for its own append
// only. While a group is being committed the next one gathers, so groups grow
// with the load and nobody waits for a timer.
//
// Positions are assigned under the head row's lock, which is held until the
// commit: they are dense, and whoever sees a position sees all before it. So
// a reader that goes on from the last position it saw never skips an event,
// however long a transaction takes.
//
// Which goroutine owns what: queue.go has the one lock between callers and the
// writer; everything in [writer] belongs to the writer goroutine alone.
//
// # Reading
//
// Reads take connections from the pool, a page at a time, and hold no
// transaction between pages. Subscriptions share one LISTEN connection and
// poll as a fallback. The writer and the listener have connections of their
// own beside the pool, so that appends never wait for one.
package postgres

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
)

// Options tune a [Store]; the zero value is good.
type Options struct {
	// Logger hears of lost and regained connections. Default: discards.
	Logger *slog.Logger
	// Observe is told of each group commit, by the writer: it must be quick.
	Observe func(eventstore.AppendObservation)
	// PollInterval is how often a subscription looks at the ledger's head when
	// no notification comes. Default: one second.
	PollInterval time.Duration
	// Timeout bounds a group commit, waiting for another process included;
	// appends that it ends are [eventstore.ErrUnavailable]. Default: 5 s.
	Timeout time.Duration
}

// Store is the engine. It implements [eventstore.Store].
type Store struct {
	eventstore.Extent
	pool     *pgxpool.Pool
	options  Options
	queue    *queue
	listener *listener
	stop     context.CancelFunc
	done     sync.WaitGroup
}

var _ eventstore.Store = (*Store)(nil)

// New returns a store on a migrated database and starts its writer; Close it.
// It does not wait for the database: while that is away, calls return
// [eventstore.ErrUnavailable]. Of ctx only the values are used. The pool
// remains the caller's, to be closed after the store.
func New(ctx context.Context, pool *pgxpool.Pool, options Options) *Store {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.PollInterval <= 0 {
		options.PollInterval = time.Second
	}
	if options.Timeout <= 0 {
		options.Timeout = 5 * time.Second
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{pool: pool, options: options, queue: newQueue(), stop: stop}
	s.listener = newListener(ctx, s)
	s.done.Go(func() { newWriter(s).run(ctx) })
	return s
}

// DensePositions is for [eventstore.Dense].
func (s *Store) DensePositions() bool { return true }

// Close lets the commit under way end, fails the appends that wait with
// [eventstore.ErrUnavailable], ends all subscriptions and waits for the
// store's goroutines.
func (s *Store) Close() {
	s.stop()
	s.listener.close()
	s.done.Wait()
}
