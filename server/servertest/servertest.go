// Package servertest starts whole servers for tests, as the serve command does:
// on a database and a Redis of their own, migrated and bootstrapped.
package servertest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/internal/realstore"
	"github.com/sentryagent/agentidp/server"
	"github.com/sentryagent/agentidp/server/upkeep"
)

// World is what the servers of one test share: database, Redis, master key and
// the operator.
type World struct {
	Database *pgtest.Database
	Operator upkeep.Operator
	settings []string
}

// NewWorld makes a migrated and bootstrapped world, without limits on how much
// a test may ask for. Settings are NAME=value and win against the defaults.
func NewWorld(tb testing.TB, settings ...string) *World {
	tb.Helper()
	database := Database(tb)
	w := &World{Database: database, settings: append([]string{
		"DATABASE_URL=" + database.ServerURL,
		"REDIS_URL=" + pgtest.Redis(tb),
		"MASTER_KEY_FILE=" + filepath.Join(tb.TempDir(), "master.key"),
		"LISTEN_HOST=127.0.0.1",
		"METRICS_PORT=0",
		"PUBLIC_URL=http://agentidp.test",
		"JWT_SIGNING_ALG=ES256",
		"RATE_LIMIT_MAX_REQUESTS=0",
		"TIER_ENFORCEMENT=false",
	}, append(engine(tb), settings...)...)}
	operator, err := upkeep.Bootstrap(tb.Context(), w.Config(tb), false)
	if err != nil {
		tb.Fatalf("bootstrap: %v", err)
	}
	w.Operator = operator
	return w
}

// engine is the settings for the engine that TEST_EVENTSTORE names; where it
// names none, that is PostgreSQL. An EventStoreDB is the test's own, or the real
// one that ESDB_URL names.
func engine(tb testing.TB) []string {
	tb.Helper()
	if os.Getenv("TEST_EVENTSTORE") != config.EventStoreESDB {
		return nil
	}
	if there := realstore.URL(tb); there != "" {
		return onESDB(realstore.Ledger(there, realstore.Name()))
	}
	_, settings := ESDB(tb, 1)
	return settings
}

// ESDB is an EventStoreDB of the test's own, of so many nodes, and the settings
// of a world that keeps its ledger there.
func ESDB(tb testing.TB, nodes int) (cluster *wiretest.Cluster, settings []string) {
	tb.Helper()
	cluster = wiretest.Start(tb, nodes)
	return cluster, onESDB(cluster.URL())
}

func onESDB(url string) (settings []string) {
	return []string{"EVENTSTORE=" + config.EventStoreESDB, "ESDB_URL=" + url}
}

// Database is an empty migrated database of the test's own.
func Database(tb testing.TB) *pgtest.Database {
	tb.Helper()
	return pgtest.New(tb, pgtest.Migrated)
}

// Environ is the environment of one more server, on a port of its own.
func (w *World) Environ(tb testing.TB, settings ...string) []string {
	tb.Helper()
	environ := append([]string{}, w.settings...)
	return append(append(environ, "PORT=0"), settings...)
}

// Config is [World.Environ], read.
func (w *World) Config(tb testing.TB, settings ...string) config.Config {
	tb.Helper()
	c, err := config.Load(lastWins(w.Environ(tb, settings...)), "")
	if err != nil {
		tb.Fatalf("configuration: %v", err)
	}
	return c
}

// lastWins keeps the last of several settings of one name.
func lastWins(environ []string) []string {
	place := map[string]int{}
	var kept []string
	for _, setting := range environ {
		name, _, _ := strings.Cut(setting, "=")
		if i, seen := place[name]; seen {
			kept[i] = setting
			continue
		}
		place[name] = len(kept)
		kept = append(kept, setting)
	}
	return kept
}

// Serve starts a server in this process and gives its base URL. It is stopped
// when the test ends.
func (w *World) Serve(tb testing.TB, settings ...string) string {
	tb.Helper()
	return w.ServeAt(tb, time.Now, settings...)
}

// ServeAt is [World.Serve] with a clock of the test's own.
func (w *World) ServeAt(tb testing.TB, now func() time.Time, settings ...string) string {
	tb.Helper()
	return w.serve(tb, slog.New(slog.DiscardHandler), now, settings...)
}

// ServeLogged is [World.Serve] with a log that the test reads.
func (w *World) ServeLogged(tb testing.TB, logger *slog.Logger, settings ...string) string {
	tb.Helper()
	return w.serve(tb, logger, time.Now, settings...)
}

func (w *World) serve(tb testing.TB, logger *slog.Logger, now func() time.Time, settings ...string) string {
	tb.Helper()
	url, _ := w.ServeUntil(tb, w.Config(tb, settings...), logger, server.WithClock(now))
	return url
}

// ServeUntil starts a server of the test's own making, which stops when the test ends or
// before, by stop.
func (w *World) ServeUntil(tb testing.TB, c config.Config, logger *slog.Logger, options ...server.Option) (url string, stop func()) {
	tb.Helper()
	started, err := server.Start(tb.Context(), c, "test", logger, options...)
	if err != nil {
		tb.Fatalf("start the server: %v", err)
	}
	ctx, end := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- started.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		end()
		if err := <-stopped; err != nil {
			tb.Errorf("the server stopped with: %v", err)
		}
	})
	tb.Cleanup(stop)
	return "http://" + started.Address(), stop
}
