package ledger_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/modelwire"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// The server drops the tail a hundred times a minute, while two thousand tokens a
// second are issued: nobody waits for it, whoever follows the ledger goes on, and
// it is not worth a line in the log.
func TestATailThatIsDroppedHoldsUpNoToken(t *testing.T) {
	for _, version := range []string{"23.10", "25.1"} {
		synctest.Test(t, func(t *testing.T) { droppedTail(t, version) })
	}
}

func droppedTail(t *testing.T, version string) {
	const (
		clients, each = 64, 32 * time.Millisecond // a token of each client: 2,000 a second
		every, drops  = 600 * time.Millisecond, 12
		most          = 250 * time.Millisecond
	)
	cluster, err := model.New(model.Options{Version: version, Latency: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	lines := &news{}
	store := esdb.NewOn(&modelwire.Dialer{Cluster: cluster, Called: lines.called}, esdb.Options{Logger: slog.New(lines)})
	t.Cleanup(store.Close)
	w := newWorld(t, store, clients+1)
	revocations := revocation.New(store, revocation.Options{})
	l := ledger.New(store, nil, revocations, ledger.Options{})

	agents := make([]domain.AgentID, clients)
	for n := range agents {
		agents[n] = w.register(t, fmt.Sprintf("a%d@example.com", n)).ID
		w.credential(t, agents[n])
	}
	begin := time.Now()
	end := begin.Add(every * drops)
	var all sync.WaitGroup
	tokens := make([]int, clients)
	for n, id := range agents {
		all.Go(func() {
			for due := time.Now(); due.Before(end); due = due.Add(each) {
				time.Sleep(time.Until(due))
				asked := time.Now()
				if _, err := issueToken(t.Context(), l, id, issue()); err != nil {
					t.Errorf("%s: a token: %v", version, err)
				}
				if took := time.Since(asked); took > most {
					t.Errorf("%s: a token took %s", version, took)
				}
				tokens[n]++
			}
		})
	}
	all.Go(func() { // as a projection does
		sub := store.Subscribe(0, eventstore.Filter{})
		defer sub.Close()
		ctx, cancel := context.WithDeadline(t.Context(), end)
		defer cancel()
		for {
			_, err := sub.Next(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				t.Errorf("%s: Next: %v", version, err)
			}
		}
	})
	for range drops {
		time.Sleep(every)
		cluster.DropReaders()
	}
	all.Wait()
	issued := 0
	for _, n := range tokens {
		issued += n
	}
	if rate := float64(issued) / end.Sub(begin).Seconds(); rate < 1900 {
		t.Errorf("%s: %.0f tokens a second, want 2,000", version, rate)
	}
	if version == "23.10" && lines.follows.Load() < drops/2 {
		t.Errorf("%s: the tail was followed %d times: it was not dropped", version, lines.follows.Load())
	}
	if told := lines.take(); len(told) > 0 {
		t.Errorf("%s: it was logged: %q", version, told)
	}
}

// news keeps what is logged above INFO, and counts subscriptions.
type news struct {
	follows atomic.Int64

	mu    sync.Mutex // guards lines
	lines []string
}

func (n *news) called(call string) {
	if call == "follow" {
		n.follows.Add(1)
	}
}

func (n *news) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lines
}

func (n *news) Enabled(_ context.Context, level slog.Level) bool { return level > slog.LevelInfo }
func (n *news) WithAttrs([]slog.Attr) slog.Handler               { return n }
func (n *news) WithGroup(string) slog.Handler                    { return n }

func (n *news) Handle(_ context.Context, r slog.Record) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, r.Message)
	return nil
}
