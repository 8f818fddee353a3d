package esdb_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
)

// The whole cluster refuses connections for half a minute, with the pauses of a
// server: longer than any of them, so that the longest is waited for as well.
func TestWritersOutliveThirtySecondsOfRefusedConnections(t *testing.T) {
	t.Parallel()
	const outage = 30 * time.Second
	cluster := newCluster(t, 3)
	store := newStore(t, cluster.URL(), esdb.Options{MinBackoff: 100 * time.Millisecond, MaxBackoff: 5 * time.Second})
	f := follow(t, store)
	var w writers
	w.start(t, store, 64)
	w.more(t, 200)
	for n := range 3 {
		cluster.Node(n).Stop()
	}
	over := time.After(outage)
	until(t, "the store notices", phase(store, esdb.Unavailable))
	acknowledged := w.acknowledged.Load()
	if _, err := store.Head(t.Context()); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("Head = %v, want ErrUnavailable", err)
	}
	<-over
	if more := w.acknowledged.Load() - acknowledged; more != 0 || store.State().Failures < 3 {
		t.Errorf("%d appends were acknowledged meanwhile; %+v", more, store.State())
	}
	for n := range 3 {
		if err := cluster.Node(n).Start(); err != nil {
			t.Error(err)
		}
	}
	w.more(t, 200)
	w.end(t, store, f)
}
