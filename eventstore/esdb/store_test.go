package esdb_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/eventstore/storetest"
	"github.com/sentryagent/agentidp/internal/realstore"
)

func newCluster(t testing.TB, nodes int) *wiretest.Cluster {
	t.Helper()
	cluster := wiretest.Start(t, nodes)
	return cluster
}

// newStore opens a store that is quick to notice and to try again.
func newStore(t testing.TB, url string, options esdb.Options) *esdb.Store {
	t.Helper()
	if options.MinBackoff == 0 {
		options.MinBackoff, options.MaxBackoff = time.Millisecond, 20*time.Millisecond
	}
	store, err := esdb.New(url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) eventstore.Store {
		return newStore(t, newCluster(t, 1).URL(), esdb.Options{})
	})
}

// Ledgers that share a server do not see each other.
func TestStoreOnASharedCluster(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 3)
	t.Cleanup(func() {
		if n := cluster.Forwarded(); n != 0 {
			t.Errorf("%d requests could have been answered by a follower, from the past", n)
		}
	})
	storetest.Run(t, func(t *testing.T) eventstore.Store {
		return newStore(t, cluster.URL(), esdb.Options{Prefix: uuid.NewString() + "/"})
	})
}

func TestStoreOnARealServer(t *testing.T) {
	url := realstore.Require(t)
	storetest.Run(t, func(t *testing.T) eventstore.Store {
		return newStore(t, url, esdb.Options{Prefix: realstore.Name() + "/"})
	})
}

func TestClosedStoreIsUnavailable(t *testing.T) {
	t.Parallel()
	store := newStore(t, newCluster(t, 1).URL(), esdb.Options{})
	sub := store.Subscribe(0, eventstore.Filter{})
	store.Close()
	if _, err := store.Append(t.Context(), "a-1", eventstore.NoStream(), storetest.NewDraft("a.x")); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("Append = %v, want ErrUnavailable", err)
	}
	if _, err := store.Head(t.Context()); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("Head = %v, want ErrUnavailable", err)
	}
	if _, err := sub.Next(t.Context()); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("Next = %v, want ErrUnavailable", err)
	}
}
