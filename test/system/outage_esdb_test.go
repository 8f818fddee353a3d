package system_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/internal/config"
)

// Whatever of the cluster that keeps the ledger fails, nobody is told more than
// to come again, and nothing is lost.
func TestEventStoreFailingUnderLoadIsSurvived(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, config.EventStoreESDB)
	s := w.serve(t)
	owner := s.tenant(t, w)
	load := startMixedLoad(t, s.client, owner)
	load.awaitMore(t, 50)
	store := w.eventStore
	each := func(do func(*wiretest.Node)) {
		for n := range store.Nodes() {
			do(store.Node(n))
		}
	}
	for _, fault := range []struct {
		name   string
		happen func()
	}{
		{"another leader", func() { store.Lead(store.Node(1)) }},
		{"answers lost", func() { store.LoseAnswers(5) }},
		{"connections dropped", func() { each((*wiretest.Node).DropConnections) }},
		{"no leader", func() {
			store.Lead(nil)
			load.awaitRefusal(t)
			store.Lead(store.Node(2))
		}},
		{"all nodes away", func() {
			each((*wiretest.Node).Stop)
			load.awaitRefusal(t)
			each(func(n *wiretest.Node) {
				if err := n.Start(); err != nil {
					t.Error(err)
				}
			})
		}},
	} {
		fault.happen()
		begin := time.Now()
		load.awaitMore(t, 50)
		t.Logf("%s: every kind of request succeeds again after %s", fault.name, time.Since(begin).Round(time.Millisecond))
	}
	load.end(t)
	load.mustHaveBeenTold(t)
	s.mustHaveKnown(t)
	s.healthy(t, patience)
	s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents", owner.operatorToken, owner.registration("after-the-faults"))
	w.mustHoldInLedger(t, load.tokens)
}
