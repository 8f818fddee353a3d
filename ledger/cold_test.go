package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/eventstore/postgres"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

const every = 100 // events between two snapshots

// reading counts the events that are read from streams. Where most is not 0, a
// read of a stream breaks off after so many.
type reading struct {
	eventstore.Store
	events atomic.Int64
	most   int64
}

var errBrokeOff = errors.Join(eventstore.ErrUnavailable, errors.New("the read broke off"))

func (r *reading) ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction) iter.Seq2[eventstore.Event, error] {
	return func(yield func(eventstore.Event, error) bool) {
		n := int64(0)
		for event, err := range r.Store.ReadStream(ctx, stream, from, direction) {
			if n++; r.most > 0 && n > r.most {
				yield(eventstore.Event{}, errBrokeOff)
				return
			}
			r.events.Add(1)
			if !yield(event, err) {
				return
			}
		}
	}
}

// server is the write side of a process. What it has to save is saved when the
// function that it returns has been called.
func server(t *testing.T, store eventstore.Store, pool *pgxpool.Pool) (l *ledger.Ledger, stop func()) {
	t.Helper()
	snapshots := ledger.NewSnapshots(pool, reversing{}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var saving sync.WaitGroup
	saving.Go(func() { snapshots.Run(ctx) })
	stop = func() { cancel(); saving.Wait() }
	t.Cleanup(stop)
	return ledger.New(store, nil, revocation.New(store, revocation.Options{}), ledger.Options{Snapshots: snapshots, SnapshotEvery: every}), stop
}

// history is an agent and a delegation to it, with some tokens each.
type history struct {
	*world
	agent domain.Agent
	link  domain.DelegationID
}

func newHistory(t *testing.T, store eventstore.Store, pool *pgxpool.Pool, tokens int) *history {
	t.Helper()
	h := &history{world: newWorld(t, store, 10)}
	_, h.agent, h.link = h.lend(t, "busy@example.com")
	h.credential(t, h.agent.ID)
	busy, stop := server(t, store, pool)
	for range tokens {
		h.mustIssue(t, busy)
	}
	stop()
	return h
}

func (h *history) mustIssue(t *testing.T, at *ledger.Ledger) {
	t.Helper()
	if _, err := issueToken(t.Context(), at, h.agent.ID, issue()); err != nil {
		t.Fatal(err)
	}
	if _, err := exchange(t.Context(), at, revocation.View{}, h.link, h.exchange(h.agent)); err != nil {
		t.Fatal(err)
	}
}

// A long stream costs the first token after a start no more than a short one,
// but for the events since the last snapshot, whatever the engine, and whether
// the tokens are an agent's own or got by exchange.
func TestAColdStartReadsAStreamFromItsSnapshot(t *testing.T) {
	for name, open := range map[string]func(*testing.T, *pgxpool.Pool) (store eventstore.Store, read func() int){
		"memory": func(*testing.T, *pgxpool.Pool) (eventstore.Store, func() int) {
			counted := &reading{Store: memory.New()}
			return counted, func() int { return int(counted.events.Load()) }
		},
		"PostgreSQL": func(t *testing.T, pool *pgxpool.Pool) (eventstore.Store, func() int) {
			store := postgres.New(t.Context(), pool, postgres.Options{})
			t.Cleanup(store.Close)
			counted := &reading{Store: store}
			return counted, func() int { return int(counted.events.Load()) }
		},
		"EventStoreDB": func(t *testing.T, _ *pgxpool.Pool) (eventstore.Store, func() int) {
			cluster := wiretest.Start(t, 1)
			store, err := esdb.New(cluster.URL(), esdb.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(store.Close)
			return store, cluster.Served // on the wire: pages as they come
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := newPool(t)
			store, read := open(t, pool)
			const tokens = 5*every + 90 // many of them since the last snapshot
			h := newHistory(t, store, pool, tokens)
			cold, _ := server(t, store, pool)
			before := read()
			h.mustIssue(t, cold)
			// Two long streams and that of the delegator, which has one event; and the
			// engine may have to look at the newest of each.
			if n, most := read()-before, 2*every+6; n > most {
				t.Errorf("the first tokens after a start read %d events of streams with %d, want %d at most", n, tokens, most)
			}
		})
	}
}

func TestWhereNoSnapshotServesAStreamIsReadOnce(t *testing.T) {
	for name, harm := range map[string]string{
		"deleted":            `DELETE FROM snapshots`,
		"long out of date":   `DELETE FROM snapshots WHERE revision > 150`, // the process died before it saved more
		"of another history": `UPDATE snapshots SET hash = sha256('other')`,
		"of the future":      `UPDATE snapshots SET revision = revision + 100000`,
		"unreadable":         `UPDATE snapshots SET state = 'rubbish'`,
		"of another shape":   `UPDATE snapshots SET shape = 'other/0'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, store := newPool(t), &reading{Store: memory.New()}
			h := newHistory(t, store, pool, 5*every)
			if _, err := pool.Exec(t.Context(), harm); err != nil {
				t.Fatal(err)
			}
			first, stop := server(t, store, pool)
			h.mustIssue(t, first)
			stop()
			second, _ := server(t, store, pool)
			before := store.events.Load()
			h.mustIssue(t, second)
			if n := store.events.Load() - before; n > 2*every+6 {
				t.Errorf("a second start read %d events: the first one has not seen to a snapshot", n)
			}
		})
	}
}

// A stream that takes longer to read than a command may take is read in the end.
func TestWhatHasBeenReadIsKeptWhenAReadBreaksOff(t *testing.T) {
	for name, sameProcess := range map[string]bool{"in one process": true, "from process to process": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, whole := newPool(t), memory.New()
			h := newHistory(t, whole, pool, 5*every)
			if _, err := pool.Exec(t.Context(), `DELETE FROM snapshots`); err != nil {
				t.Fatal(err)
			}
			store := &reading{Store: whole, most: 2 * every}
			cold, stop := server(t, store, pool)
			for attempt := 1; ; attempt++ {
				_, err := issueToken(t.Context(), cold, h.agent.ID, issue())
				if err == nil {
					return
				}
				if !errors.Is(err, eventstore.ErrUnavailable) || attempt == 4 {
					t.Fatalf("attempt %d: %v", attempt, err)
				}
				if !sameProcess {
					stop()
					cold, stop = server(t, store, pool)
				}
			}
		})
	}
}

func TestASnapshotNeverWinsAgainstTheEvents(t *testing.T) {
	pool, store := newPool(t), memory.New()
	h := newHistory(t, store, pool, every+10)
	rewriteSnapshot(t, pool, reversing{}, domain.AgentStream(h.agent.ID), func(row *snapshotRow) {
		row.state = bytes.ReplaceAll(row.state, []byte(`"active"`), []byte(`"suspended"`))
		row.hash = eventstore.HashOf([]byte("other"))
	})
	cold, _ := server(t, store, pool)
	h.mustIssue(t, cold)
}
