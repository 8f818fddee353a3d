package system_test

import (
	"testing"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/realstore"
	"github.com/sentryagent/agentidp/server/servertest"
)

// engines are those that the ledger can be kept in.
var engines = []string{config.EventStorePostgres, config.EventStoreESDB}

// onEachEngine runs a test in a world of each engine. Where the environment
// names a real server, the ledger is there, under a name of its own.
func onEachEngine(t *testing.T, test func(*testing.T, *world), settings ...string) {
	t.Helper()
	onEach(t, newWorldWhere, test, settings)
}

// newWorldWhere is [newWorldOn], and on a real server where there is one.
func newWorldWhere(tb testing.TB, engine string, settings ...string) *world {
	tb.Helper()
	if there := realstore.URL(tb); there != "" && engine == config.EventStoreESDB {
		url := realstore.Ledger(there, realstore.Name())
		return newWorld(tb, append([]string{"EVENTSTORE=" + engine, "ESDB_URL=" + url}, settings...)...)
	}
	return newWorldOn(tb, engine, settings...)
}

// onEachOwnEngine is [onEachEngine] for tests that break the engine: that is
// always their own.
func onEachOwnEngine(t *testing.T, test func(*testing.T, *world), settings ...string) {
	t.Helper()
	onEach(t, newWorldOn, test, settings)
}

func onEach(t *testing.T, newWorld func(testing.TB, string, ...string) *world, test func(*testing.T, *world), settings []string) {
	t.Helper()
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, engine, settings...))
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
	cluster, where := servertest.ESDB(tb, 3)
	w := newWorld(tb, append(where, settings...)...)
	w.eventStore = cluster
	return w
}

// fewer is how many rounds are enough on the engines after the first, which
// repeat what it has shown.
func (w *world) fewer(rounds int) int {
	if w.setting("EVENTSTORE") == config.EventStoreESDB {
		return (rounds + 2) / 3
	}
	return rounds
}
