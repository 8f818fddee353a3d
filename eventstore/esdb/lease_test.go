package esdb_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/modelwire"
	"github.com/sentryagent/agentidp/eventstore/storetest"
)

// A leader that was frozen or cut off while another was elected answers reads
// from the past. Whatever it answers, a head that is given has everything that
// another store was told is there.
func TestAHeadIsNeverFromThePast(t *testing.T) {
	rounds, told := seeds(300), 0
	for seed := range rounds {
		synctest.Test(t, func(t *testing.T) {
			rng := seeded(seed)
			cluster := modelled(t, model.Options{Nodes: 3, Elections: true, Rand: seeded(seed), Latency: time.Duration(rng.IntN(4)) * time.Millisecond})
			a := on(t, &modelwire.Dialer{Cluster: cluster, Seed: seed + 1}, esdb.Options{})
			b := on(t, &modelwire.Dialer{Cluster: cluster, Seed: seed + 2}, esdb.Options{})
			mustAppend(t, a, "a-1", eventstore.NoStream(), storetest.NewDraft("a.x"))
			headOf(t, a)
			headOf(t, b)
			told += oneRound(t, cluster, rng, a, b, seed)
		})
	}
	if told < int(rounds) {
		t.Errorf("%d heads were told in %d rounds: too few to show anything", told, rounds)
	}
}

func oneRound(t *testing.T, cluster *model.Cluster, rng *rand.Rand, a, b *esdb.Store, seed uint64) (told int) {
	leader := cluster.Leader()
	away := time.Second + time.Duration(rng.Int64N(int64(19*time.Second)))
	cut := rng.IntN(2) == 0
	if cut {
		cluster.Cut(leader)
	} else {
		leader.Freeze()
	}
	back := time.AfterFunc(away, func() {
		if cut {
			cluster.Cut()
		} else {
			leader.Wake()
		}
	})
	defer back.Stop()
	end := time.Now().Add(away + 5*time.Second)
	for n := 0; time.Now().Before(end); n++ {
		appended, err := b.Append(soon(t, 5*time.Second), fmt.Sprintf("b-%d", n), eventstore.NoStream(), storetest.NewDraft("a.x"))
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if rng.IntN(2) == 0 {
			time.Sleep(time.Duration(rng.Int64N(int64(300 * time.Millisecond))))
		}
		head, err := a.Head(soon(t, time.Second))
		if err != nil {
			continue
		}
		told++
		if head < appended.Position() {
			t.Fatalf("seed %d: the head is %d after an append at %d was answered", seed, head, appended.Position())
		}
	}
	return told
}

// A leader that does not answer costs no request more than three seconds as long
// as another leads.
func TestASilentLeaderIsPassedOver(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			cluster := modelled(t, model.Options{Nodes: 3, Elections: true, Rand: seeded(seed)})
			store := on(t, &modelwire.Dialer{Cluster: cluster, Seed: seed + 1}, esdb.Options{})
			mustAppend(t, store, "a-1", eventstore.NoStream(), storetest.NewDraft("a.x"))
			headOf(t, store)
			frozen := cluster.Leader()
			frozen.Freeze()
			for cluster.Leader() == frozen || cluster.Leader() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			begin := time.Now()
			mustAppend(t, store, "a-1", eventstore.Any(), storetest.NewDraft("a.x"))
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("seed %d: an append took %s while another led", seed, took)
			}
			begin = time.Now()
			headOf(t, store)
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("seed %d: a head took %s while another led", seed, took)
			}
			frozen.Wake()
		})
	}
}
