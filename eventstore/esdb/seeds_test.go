package esdb_test

import (
	"testing"

	"github.com/sentryagent/agentidp/eventstore/esdb"
)

// A seed whose machine is gone answers nothing, not even that it is gone: the
// others are asked within the same attempt.
func TestASeedThatIsSilentIsPassedOver(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, 3)
	url, ways := behindProxies(t, cluster)
	ways[2].Drop()
	failed := make(chan error, 100)
	var stores []*esdb.Store
	for range 16 { // each shuffles the seeds
		stores = append(stores, newStore(t, url, esdb.Options{ObserveState: func(s esdb.State) {
			if s.Phase == esdb.Unavailable {
				failed <- s.Err
			}
		}}))
	}
	for _, store := range stores {
		until(t, "there is a connection", phase(store, esdb.Connected))
	}
	select {
	case err := <-failed:
		t.Errorf("an attempt failed: %v", err)
	default:
	}
}
