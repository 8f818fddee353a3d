package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pg"
	"github.com/sentryagent/agentidp/internal/wait"
)

// longestBackoff bounds the time between attempts to connect.
const longestBackoff = time.Second

func newBackoff() wait.Backoff {
	return wait.Backoff{First: 20 * time.Millisecond, Longest: longestBackoff}
}

// writer commits groups of appends. One goroutine runs it and owns all of it.
type writer struct {
	store   *Store
	heads   *heads
	conn    *pgx.Conn // nil when there is none
	backoff wait.Backoff
	retryAt time.Time
	columns columns // of the rows being inserted, kept for their memory
	buffer  []byte  // of the rows being copied, likewise
}

func newWriter(s *Store) *writer { return &writer{store: s, heads: newHeads(), backoff: newBackoff()} }

// run works until ctx ends. A commit under way is brought to its end.
func (w *writer) run(ctx context.Context) {
	defer w.disconnect()
	defer func() { fail(w.store.queue.drain(true), errClosed) }()
	var batch []*pending
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.store.queue.filled:
		}
		for w.store.queue.length() > 0 {
			if err := w.connected(ctx); err != nil {
				fail(w.store.queue.drain(false), err)
				break
			}
			batch = w.store.queue.take(batch[:0])
			if len(batch) == 0 {
				break
			}
			w.commit(batch)
			clear(batch)
			if ctx.Err() != nil {
				return
			}
			// The callers just answered often append again at once. Letting
			// them run first costs microseconds and spares a small group.
			for range 4 {
				if w.store.queue.length() >= len(batch) {
					break
				}
				runtime.Gosched()
			}
		}
	}
}

// connected makes sure that there is a connection. It waits no longer than
// longestBackoff and [pg.ConnectTimeout] together.
func (w *writer) connected(ctx context.Context) error {
	if w.conn != nil && !w.conn.IsClosed() {
		return nil
	}
	w.disconnect()
	if wait.For(ctx, time.Until(w.retryAt)) != nil {
		return errClosed
	}
	conn, err := pg.Connect(ctx, w.store.pool, "agentidp ledger writer")
	if err == nil {
		err = configure(ctx, conn, w.store.options.Timeout)
	}
	if err != nil {
		if conn != nil {
			pg.Discard(conn)
		}
		if !w.backoff.Failing() {
			w.store.options.Logger.Warn("the ledger cannot be written: no connection", "error", err)
		}
		w.retryAt = time.Now().Add(w.backoff.Next())
		if ctx.Err() != nil {
			return errClosed
		}
		return fmt.Errorf("%w: connect: %w", eventstore.ErrUnavailable, err)
	}
	if w.backoff.Failing() {
		w.store.options.Logger.Info("the ledger can be written again")
	}
	w.conn = conn
	w.backoff.Reset()
	return nil
}

// configure makes commits durable whatever the role's or database's defaults,
// and keeps a process that hangs from holding up the others.
func configure(ctx context.Context, conn *pgx.Conn, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, pg.ConnectTimeout)
	defer cancel()
	ms := strconv.FormatInt(timeout.Milliseconds(), 10)
	_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false), set_config('lock_timeout', $1, false),
		set_config('statement_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $1, false)`, ms)
	return err
}

func (w *writer) disconnect() {
	if w.conn != nil {
		pg.Discard(w.conn)
		w.conn = nil
	}
	w.heads.forget()
}

// commit decides and stores a group and tells its callers. An attempt that is
// known to have changed nothing is made again, once for each of two reasons:
// the connection had died unnoticed, or an event id was in the ledger already
// and has to be traced to its append.
func (w *writer) commit(batch []*pending) {
	begin := time.Now()
	// Not bounded by the store's life: Close waits for the commit.
	ctx, cancel := context.WithTimeout(context.Background(), w.store.options.Timeout)
	defer cancel()
	var g *group
	checkIDs, reconnected := false, false
	for {
		g = &group{appends: batch, checkIDs: checkIDs}
		err := w.attempt(ctx, g)
		if err == nil {
			break
		}
		if violatesEventID(err) && !checkIDs {
			checkIDs = true
			continue
		}
		if lost := w.conn == nil; lost && !errors.Is(err, errOutcomeUnknown) && !reconnected && ctx.Err() == nil {
			reconnected = true
			if w.connected(ctx) == nil {
				continue
			}
		}
		err = translate(context.Background(), "append", err)
		w.observe(batch, nil, begin, err)
		fail(batch, err)
		return
	}
	w.observe(batch, g, begin, nil)
	for i, p := range batch {
		p.result, p.err = g.outcomes[i].result, g.outcomes[i].err
		close(p.done)
	}
}

// observe comes before the callers are told, so that they find it counted.
func (w *writer) observe(batch []*pending, g *group, begin time.Time, err error) {
	if w.store.options.Observe == nil {
		return
	}
	seen := eventstore.AppendObservation{Batch: len(batch), Duration: time.Since(begin), Err: err}
	if g != nil && len(g.rows) > 0 {
		seen.Events = len(g.rows)
		seen.Position = uint64(g.rows[len(g.rows)-1].Position)
	}
	w.store.options.Observe(seen)
}

func fail(batch []*pending, err error) {
	for _, p := range batch {
		p.err = err
		close(p.done)
	}
}
