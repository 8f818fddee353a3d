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
	away, frozen := 0, (*wiretest.Node)(nil)
	return []Fault{
		{"store: another leader", 3, second / 10, 2 * second, func() { s.Lead(nil) }, func() { s.Lead(s.Node(rng.IntN(s.Nodes()))) }},
		{"store: leader frozen and replaced", 2, second, 5 * second,
			func() { frozen = s.freeze(rng) }, func() { mustStart(frozen.Recover()) }},
		{"store: node away", 2, second / 2, 5 * second, func() { away = rng.IntN(s.Nodes()); s.stop(away) }, func() { start(s.Node(away)) }},
		{"store: all nodes away", 1, second / 10, 2 * second, func() { s.each((*wiretest.Node).Stop) }, func() { s.each(start) }},
		{"store: answers lost", 3, second / 10, second, func() { s.LoseAnswers(1 + rng.IntN(4)) }, func() { s.LoseAnswers(0) }},
		{"store: connections dropped", 2, 0, 0, func() { s.each((*wiretest.Node).DropConnections) }, func() {}},
		{"store: slow", 1, second, 4 * second, func() { s.Delay(time.Duration(1+rng.IntN(40)) * time.Millisecond) }, func() { s.Delay(0) }},
	}
}

func (s EventStore) each(do func(*wiretest.Node)) {
	for n := range s.Nodes() {
		do(s.Node(n))
	}
}

// stop stops a node; if that leads, the next one does from then on.
func (s EventStore) stop(number int) {
	n := s.Node(number)
	n.Stop()
	if s.Leader() == n {
		s.Lead(s.Node((number + 1) % s.Nodes()))
	}
}

// freeze halts the leader, and has another node lead. The old one does not know
// when it is woken.
func (s EventStore) freeze(rng *rand.Rand) *wiretest.Node {
	leader := s.Leader()
	leader.Freeze()
	s.Lead(s.Node((leader.Number() + 1 + rng.IntN(s.Nodes()-1)) % s.Nodes()))
	return leader
}

func start(n *wiretest.Node) { mustStart(n.Start()) }

func mustStart(err error) {
	if err != nil {
		panic(fmt.Sprintf("its port was free until now: %v", err))
	}
}
