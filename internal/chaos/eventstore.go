package chaos

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
)

// EventStore is the cluster that keeps the ledger, with faults of its own. It
// is a [Victim].
type EventStore struct{ *wiretest.Cluster }

// Faults implements [Victim]. In between them all nodes run and one leads.
func (s EventStore) Faults(rng *rand.Rand) []Fault {
	var away *wiretest.Node
	return []Fault{
		{"store: another leader", 3, second / 10, 2 * second, func() { s.Lead(nil) }, func() { s.Lead(s.any(rng)) }},
		{"store: node away", 2, second / 2, 5 * second, func() { away = s.any(rng); s.stop(away) }, func() { start(away) }},
		{"store: all nodes away", 1, second / 10, 2 * second, func() { s.each((*wiretest.Node).Stop) }, func() { s.each(start) }},
		{"store: answers lost", 3, second / 10, second, func() { s.LoseAnswers(1 + rng.IntN(8)) }, func() { s.LoseAnswers(0) }},
		{"store: connections dropped", 2, 0, 0, func() { s.each((*wiretest.Node).DropConnections) }, func() {}},
		{"store: slow", 1, second, 4 * second, func() { s.Delay(time.Duration(1+rng.IntN(40)) * time.Millisecond) }, func() { s.Delay(0) }},
	}
}

func (s EventStore) any(rng *rand.Rand) *wiretest.Node { return s.Node(rng.IntN(s.Nodes())) }

func (s EventStore) each(do func(*wiretest.Node)) {
	for n := range s.Nodes() {
		do(s.Node(n))
	}
}

// stop stops a node; if that leads, the next one does from then on.
func (s EventStore) stop(n *wiretest.Node) {
	led := s.Leader() == n
	if led {
		s.Lead(nil)
	}
	n.Stop()
	for i := range s.Nodes() {
		if led && s.Node(i) == n {
			s.Lead(s.Node((i + 1) % s.Nodes()))
		}
	}
}

func start(n *wiretest.Node) {
	if err := n.Start(); err != nil {
		panic(fmt.Sprintf("its port was free until now: %v", err))
	}
}
