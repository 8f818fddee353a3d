package esdb_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/modelwire"
	"github.com/sentryagent/agentidp/internal/rounds"
)

// modelled is a cluster of the model, for use in a bubble of virtual time.
func modelled(t *testing.T, options model.Options) *model.Cluster {
	t.Helper()
	cluster, err := model.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// on opens a store on a model. What it logs above INFO is in the log.
func on(t *testing.T, dialer *modelwire.Dialer, options esdb.Options) *esdb.Store {
	t.Helper()
	store := esdb.NewOn(dialer, options)
	t.Cleanup(store.Close)
	return store
}

// logged keeps what was logged.
type logged struct {
	mu   sync.Mutex // guards seen
	seen []slog.Record
}

func (l *logged) Enabled(context.Context, slog.Level) bool { return true }
func (l *logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logged) WithGroup(string) slog.Handler            { return l }
func (l *logged) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, r)
	return nil
}

// above are the lines of a higher level.
func (l *logged) above(level slog.Level) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.seen {
		if r.Level > level {
			line := r.Message
			r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
			lines = append(lines, line)
		}
	}
	return lines
}

// raceEnabled has a short name here, where many variables are called rounds.
const raceEnabled = rounds.Race

// seeds is how many rounds a test in virtual time takes. The race detector makes
// them ten times as slow, and they look for no race: with it a few are enough, and
// `make rounds`, which .ci/run calls, takes all without it.
func seeds(usual uint64) uint64 {
	if raceEnabled {
		return max(1, usual/10)
	}
	return usual
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

// soon is a context for a call that has to end.
func soon(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func headOf(t testing.TB, store eventstore.Store) eventstore.Position {
	t.Helper()
	head, err := store.Head(soon(t, time.Minute))
	if err != nil {
		t.Fatalf("Head: %v", err)
	}
	return head
}
