package esdb_test

import (
	"testing"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// What differs between the versions of the server makes no difference to the
// ledger: how positions are refused, what becomes of slow readers, where
// checkpoints are, how sizes are counted. Nor do the server's own projections,
// which add their links to everything.
func TestStoreOnEveryVersion(t *testing.T) {
	for _, version := range []string{"24.10", "25.1"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) eventstore.Store {
				cluster := wiretest.Start(t, 1, wiretest.Version(version))
				cluster.Model().EnableProjections()
				return newStore(t, cluster.URL(), esdb.Options{})
			})
		})
	}
}
