package follow_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is a migrated database with a ledger in it, and a table of jobs.
type world struct {
	*pgtest.Database
	pool  *pgxpool.Pool // as the server
	admin *pgxpool.Pool // as superuser
	store *counted
}

func newWorld(t testing.TB) *world {
	t.Helper()
	db := pgtest.New(t, pgtest.Migrated)
	pool := pgtest.Pool(t, db.ServerURL)
	w := &world{Database: db, pool: pool, admin: pgtest.Pool(t, db.SuperuserURL), store: newStore(t, pool)}
	w.exec(t, `CREATE TABLE jobs (position bigint PRIMARY KEY)`)
	w.exec(t, `GRANT SELECT, INSERT ON jobs TO agentidp_server`)
	return w
}

func (w *world) exec(t testing.TB, sql string) {
	t.Helper()
	if _, err := w.admin.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// counted is a store that counts subscriptions, and the events that they bring.
type counted struct {
	*postgres.Store
	subscriptions, events atomic.Int64
}

func newStore(t testing.TB, pool *pgxpool.Pool) *counted {
	t.Helper()
	store := postgres.New(t.Context(), pool, postgres.Options{})
	t.Cleanup(store.Close)
	return &counted{Store: store}
}

func (s *counted) Subscribe(after eventstore.Position, filter eventstore.Filter) eventstore.Subscription {
	s.subscriptions.Add(1)
	return &countedSubscription{s.Store.Subscribe(after, filter), s}
}

type countedSubscription struct {
	eventstore.Subscription
	store *counted
}

func (s *countedSubscription) Next(ctx context.Context) (eventstore.Batch, error) {
	batch, err := s.Subscription.Next(ctx)
	s.store.events.Add(int64(len(batch.Events)))
	return batch, err
}

// run runs something until the returned function is called or the test ends.
func run(t testing.TB, r interface{ Run(context.Context) }) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// process runs followers as one process does.
func (w *world) process(t testing.TB, followers ...follow.Follower) (progress *follow.Progress, stop func()) {
	t.Helper()
	progress = follow.NewProgress(w.pool, w.store, followers, follow.ProgressOptions{})
	run(t, progress)
	runner := follow.NewRunner(w.pool, w.store, followers, follow.RunnerOptions{
		Progress: progress, Standby: 50 * time.Millisecond, HaltedRetry: 50 * time.Millisecond,
	})
	return progress, run(t, runner)
}

// place is where a follower is stored to be.
func (w *world) place(t testing.TB, name string) (position eventstore.Position, state string) {
	t.Helper()
	err := w.admin.QueryRow(t.Context(), `SELECT position, state FROM projection_checkpoints WHERE name = $1`, name).Scan(&position, &state)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	return position, state
}

func (w *world) waitFor(t testing.TB, progress *follow.Progress, position eventstore.Position, names ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := progress.WaitFor(ctx, position, names...); err != nil {
		t.Fatalf("wait for %s at %d: %v; %+v", names, position, err, progress.Status())
	}
}

// eventually asks until the answer is yes.
func eventually(t testing.TB, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			t.Fatalf("it did not come to pass that %s", what)
		case <-tick.C:
		}
	}
}

var streams atomic.Int64

// append appends n events to a new stream and returns the position of the last.
func (w *world) append(t testing.TB, n int, fact domain.Event) eventstore.Position {
	t.Helper()
	name, schema, data, err := domain.Encode(fact)
	if err != nil {
		t.Fatal(err)
	}
	drafts := make([]eventstore.Draft, n)
	for i := range drafts {
		drafts[i] = eventstore.Draft{
			ID: uuid.Must(uuid.NewV7()), Type: string(name), Schema: schema, Time: time.Now(), Data: data,
			Organization: uuid.Must(uuid.NewV7()), Actor: eventstore.Actor{Kind: "system", ID: "test"},
		}
	}
	return w.appendDrafts(t, drafts...)
}

func (w *world) appendDrafts(t testing.TB, drafts ...eventstore.Draft) (last eventstore.Position) {
	t.Helper()
	stream := fmt.Sprintf("test-%d", streams.Add(1))
	appended, err := w.store.Append(t.Context(), stream, eventstore.Any(), drafts...)
	if err != nil {
		t.Fatal(err)
	}
	return appended.Position()
}

// appendUnknown appends an event that this build cannot decode.
func (w *world) appendUnknown(t testing.TB) eventstore.Position {
	t.Helper()
	return w.appendDrafts(t, eventstore.Draft{
		ID: uuid.Must(uuid.NewV7()), Type: "agent.ascended", Schema: 1, Time: time.Now(), Data: []byte(`{}`),
		Organization: uuid.Must(uuid.NewV7()), Actor: eventstore.Actor{Kind: "system", ID: "test"},
	})
}

func suspended(reason string) domain.Event {
	return domain.AgentSuspended{AgentID: domain.AgentID{UUID: uuid.Must(uuid.NewV7())}, Reason: reason}
}

// heard collects what a follower has taken.
type heard struct {
	mu        sync.Mutex
	positions []eventstore.Position
}

func (h *heard) take(events []follow.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		h.positions = append(h.positions, e.Position)
	}
}

func (h *heard) list() []eventstore.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]eventstore.Position(nil), h.positions...)
}

func (h *heard) count() int { return len(h.list()) }

// outside hears all events by the sink of that name.
func outside(name string, h *heard) follow.Follower {
	return follow.Follower{Name: name, Sink: follow.Outside(func(_ context.Context, events []follow.Event) error {
		h.take(events)
		return nil
	})}
}

const putJob = `INSERT INTO jobs SELECT unnest($1::bigint[])`

// jobs puts one row down for each event.
func jobs(name string) follow.Follower {
	return follow.Follower{Name: name, Sink: follow.Jobs(func(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
		positions := make([]int64, len(events))
		for i, e := range events {
			positions[i] = int64(e.Position)
		}
		_, err := tx.Exec(ctx, putJob, positions)
		return err
	})}
}

func (w *world) jobs(t testing.TB) (n int) {
	t.Helper()
	if err := w.admin.QueryRow(t.Context(), `SELECT count(*) FROM jobs`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
