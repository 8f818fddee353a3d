package main

import (
	"testing"

	"github.com/sentryagent/agentidp/cmd/agentidp/app/apptest"
	"github.com/sentryagent/agentidp/internal/config"
)

// engines are those that the ledger can be kept in.
var engines = []string{config.EventStorePostgres, config.EventStoreESDB}

// onEachEngine runs a test in a world of each engine.
func onEachEngine(t *testing.T, test func(t *testing.T, w *world), settings ...string) {
	t.Helper()
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, newWorldOn(t, engine, settings...))
		})
	}
}

// newWorldOn makes a world of an engine. An EventStoreDB is a cluster of the
// test's own, which it may break.
func newWorldOn(tb testing.TB, engine string, settings ...string) *world {
	tb.Helper()
	if engine == config.EventStorePostgres {
		return newWorld(tb, settings...)
	}
	cluster, where := apptest.ESDB(tb, 3)
	w := newWorld(tb, append(where, settings...)...)
	w.eventStore = cluster
	return w
}
