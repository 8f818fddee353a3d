package esdb_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/test/chaos"
)

// behindProxies is a way to a cluster that can be cut, node by node.
func behindProxies(t *testing.T, cluster *wiretest.Cluster) (url string, ways chaos.Line) {
	t.Helper()
	view, err := cluster.NewView()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range view.Addresses() {
		proxy, err := chaos.NewProxy(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Close)
		ways = append(ways, proxy)
	}
	view.Advertise(ways.Addresses())
	return view.URL(), ways
}

// The library follows the leader it was told of; when it finds neither that one
// nor another, it ends, and leaves those inside without an answer. Nobody waits
// for them, and the subscription goes on.
func TestALeaderThatCannotBeReachedIsNoTrap(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 3)
	url, ways := behindProxies(t, cluster)
	store := newStore(t, url, esdb.Options{Timeout: time.Second})
	f := follow(t, store)
	mustAppend(t, store, "a-0", eventstore.NoStream(), storetest.NewDraft("a.x"))

	working, stop := context.WithCancel(t.Context())
	defer stop()
	var callers sync.WaitGroup
	for i := range 64 {
		callers.Go(func() {
			for working.Err() == nil {
				ctx, cancel := context.WithTimeout(working, 500*time.Millisecond)
				begin := time.Now()
				_, appending := store.Append(ctx, fmt.Sprintf("b-%d", i), eventstore.Any(), storetest.NewDraft("a.x"))
				_, reading := store.Head(ctx)
				cancel()
				if took := time.Since(begin); took > 20*time.Second {
					t.Errorf("calls took %s, their time was 500 ms: %v, %v", took, appending, reading)
				}
			}
		})
	}
	for round := range 3 {
		next := (round + 1) % 3
		ways[next].Drop()
		cluster.Lead(cluster.Node(next))
		until(t, "the leader is missed", phase(store, esdb.Unavailable))
		ways[next].Pass()
		until(t, "it is found again", func() bool {
			_, err := store.Append(t.Context(), "a-0", eventstore.Any(), storetest.NewDraft("a.x"))
			return err == nil
		})
	}
	stop()
	callers.Wait()
	events := storetest.Verify(t, store)
	f.stop.Store(new(len(events)))
	mustAppend(t, store, "the last", eventstore.NoStream(), storetest.NewDraft("a.x")) // wakes the follower
	<-f.done
}
