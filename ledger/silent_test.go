package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/modelwire"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// A leader that does not answer costs nobody more than three seconds once another
// leads: neither who asks for a token, checks one, revokes one or reads an agent
// from then on, nor who was waiting already.
func TestASilentLeaderCostsNoRequestMoreThanThreeSeconds(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) { silentLeader(t, seed) })
	}
}

func silentLeader(t *testing.T, seed uint64) {
	const most, clients = 3 * time.Second, 4
	cluster, err := model.New(model.Options{Nodes: 3, Elections: true, Rand: rand.New(rand.NewPCG(seed, seed)), Latency: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	store := esdb.NewOn(&modelwire.Dialer{Cluster: cluster, Seed: seed + 1}, esdb.Options{})
	t.Cleanup(store.Close)
	w := newWorld(t, store, clients+1)
	revocations := revocation.New(store, revocation.Options{})
	l := ledger.New(store, nil, revocations, ledger.Options{})

	requests := map[string]func(domain.AgentID) error{
		"a token": func(id domain.AgentID) error {
			_, err := issueToken(t.Context(), l, id, issue())
			return err
		},
		"a check of a token": func(domain.AgentID) error {
			_, err := revocations.Sync(t.Context())
			return err
		},
		"a revocation": func(id domain.AgentID) error {
			return l.RevokeToken(t.Context(), ledger.System(), id, domain.RevokeToken{
				TokenID: domain.TokenID{UUID: ledger.NewID()}, ExpiresAt: time.Now().Add(time.Hour),
			})
		},
		"a read of an agent": func(id domain.AgentID) error {
			_, err := l.Agent(t.Context(), id)
			return err
		},
	}
	frozen := cluster.Leader()
	var (
		mu     sync.Mutex // guards others
		others time.Time  // when another began to lead
		all    sync.WaitGroup
		served = map[string]int{}
	)
	elected := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return others
	}
	end := time.Now().Add(20 * time.Second)
	for n := range clients {
		id := w.register(t, fmt.Sprintf("a%d@example.com", n)).ID
		w.credential(t, id)
		for what, request := range requests {
			all.Go(func() {
				for time.Now().Before(end) {
					begin := time.Now()
					err := request(id)
					answered, lead := time.Now(), elected()
					time.Sleep(30 * time.Millisecond)
					if lead.IsZero() {
						continue
					}
					if took, late := answered.Sub(begin), answered.Sub(lead); took > most && late > most {
						t.Errorf("seed %d: %s took %s, and another has led for %s of them", seed, what, took, late)
					}
					if err != nil && begin.Sub(lead) > most {
						t.Errorf("seed %d: %s, asked for %s after another led: %v", seed, what, begin.Sub(lead), err)
					}
					mu.Lock()
					served[what]++
					mu.Unlock()
				}
			})
		}
	}
	time.Sleep(100 * time.Millisecond)
	frozen.Freeze()
	for leader := cluster.Leader(); leader == nil || leader == frozen; leader = cluster.Leader() {
		time.Sleep(10 * time.Millisecond)
	}
	mu.Lock()
	others = time.Now()
	mu.Unlock()
	all.Wait()
	for what := range requests {
		if served[what] == 0 {
			t.Errorf("seed %d: %s was never answered", seed, what)
		}
	}
	frozen.Wake()
}
