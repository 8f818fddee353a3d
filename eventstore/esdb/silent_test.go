package esdb_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// The same as TestASilentLeaderIsPassedOver by the library, which waits for
// twenty seconds until it takes a frozen node's connection for broken.
func TestAFrozenLeaderIsPassedOverByTheLibrary(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 3)
	store := newStore(t, cluster.URL(), esdb.Options{})
	mustAppend(t, store, "a-1", eventstore.NoStream(), storetest.NewDraft("a.x"))
	for round := range 3 {
		frozen, next := cluster.Node(round), cluster.Node((round+1)%3)
		frozen.Freeze()
		cluster.Lead(next)
		begin := time.Now()
		mustAppend(t, store, "a-1", eventstore.Any(), storetest.NewDraft("a.x"))
		headOf(t, store)
		took := time.Since(begin)
		t.Logf("an append and a head took %s", took)
		if took > 10*time.Second { // three, on a machine that has nothing else to do
			t.Errorf("an append and a head took %s while another led", took)
		}
		if err := frozen.Recover(); err != nil { // else the next round has no majority
			t.Fatal(err)
		}
	}
	until(t, "the leader answers appends and long reads", func() bool {
		_, err := store.Head(t.Context())
		for _, read := range store.ReadAll(t.Context(), 0, eventstore.Filter{}) {
			err = errors.Join(err, read)
		}
		return err == nil
	})
	storetest.Verify(t, store)
}
