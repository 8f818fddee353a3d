package postgres

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pg"
	"github.com/sentryagent/agentidp/internal/wait"
)

// listener holds the one LISTEN connection of the process and wakes the
// subscriptions that a commit concerns. Losing the connection costs nothing
// but time: subscriptions poll as well, and all are woken when it is back.
type listener struct {
	store *Store
	ctx   context.Context // ends with the store

	start sync.Once // the connection is made for the first subscription

	mu            sync.Mutex // guards what follows
	subscriptions map[*subscription]bool
	notified      eventstore.Position // the newest position heard of
}

func newListener(ctx context.Context, s *Store) *listener {
	return &listener{store: s, ctx: ctx, subscriptions: make(map[*subscription]bool)}
}

func (l *listener) add(s *subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return // its Next says so
	}
	l.subscriptions[s] = true
	l.start.Do(func() { l.store.done.Go(l.run) })
}

func (l *listener) remove(s *subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.subscriptions, s)
}

// close keeps the connection from being made any more; that it may be under
// way to its end is what the store waits for.
func (l *listener) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start.Do(func() {})
}

// newest is the newest position that a notification has named.
func (l *listener) newest() eventstore.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.notified
}

func (l *listener) run() {
	backoff := newBackoff()
	for l.ctx.Err() == nil {
		listening, err := l.listen()
		if l.ctx.Err() != nil {
			return
		}
		if listening {
			backoff.Reset()
		}
		retry := backoff.Next()
		l.store.options.Logger.Warn("not listening to the ledger, subscriptions poll", "error", err, "retry", retry)
		_ = wait.For(l.ctx, retry)
	}
}

// listen passes notifications on until the connection is lost. It reports
// whether it came to listening at all.
func (l *listener) listen() (listening bool, err error) {
	conn, err := pg.Connect(l.ctx, l.store.pool, "agentidp ledger listener")
	if err != nil {
		return false, err
	}
	defer pg.Discard(conn)
	if _, err := conn.Exec(l.ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return false, err
	}
	l.wake("*", 0) // for what was committed while nobody listened
	for {
		n, err := conn.WaitForNotification(l.ctx)
		if err != nil {
			return true, err
		}
		number, types, _ := strings.Cut(n.Payload, " ")
		position, err := strconv.ParseUint(number, 10, 63)
		if err != nil {
			types = "*" // not ours; looking costs a query
		}
		l.wake(types, eventstore.Position(position))
	}
}

// wake wakes the subscriptions that want one of the types.
func (l *listener) wake(types string, position eventstore.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notified = max(l.notified, position)
	var list []string
	if types != "*" {
		list = strings.Split(types, ",")
	}
	for s := range l.subscriptions {
		if list == nil || slices.ContainsFunc(list, s.filter.PassesType) {
			select {
			case s.woken <- struct{}{}:
			default: // it has not looked since it was last woken
			}
		}
	}
}
