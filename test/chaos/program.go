package chaos

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sentryagent/agentidp/internal/realstore"
)

// StoreByProgram is an event store that somebody else runs, hurt by a program of
// theirs. It is a [Victim].
type StoreByProgram struct {
	*realstore.Program
	Failed func(error) // hears what the program could not do
}

// Faults implements [Victim]. In between them all nodes run.
func (s StoreByProgram) Faults(rng *rand.Rand) []Fault {
	hurt := realstore.Node{}
	one := func(do func(realstore.Node) error) func() {
		return func() {
			hurt = s.Nodes()[rng.IntN(len(s.Nodes()))]
			s.told(do(hurt))
		}
	}
	faults := []Fault{
		{"store: node killed", 2, second / 2, 5 * second, one(s.Kill), func() { s.told(s.Start(hurt)) }},
		{"store: node frozen", 1, second, 4 * second, one(s.Freeze), func() { s.told(s.Wake(hurt)); s.told(s.Start(hurt)) }},
		{"store: all nodes killed", 1, second / 10, 2 * second, func() { s.each(s.Kill) }, func() { s.each(s.Start) }},
	}
	if len(s.Nodes()) == 1 {
		return faults
	}
	return append(faults,
		Fault{"store: leader resigned", 2, 0, second, func() { s.told(s.Resign()) }, func() {}},
		// Long enough for another to be elected.
		Fault{"store: leader frozen and replaced", 2, 8 * second, 12 * second,
			func() { hurt = s.leader(rng); s.told(s.Freeze(hurt)) }, func() { s.told(s.Wake(hurt)); s.told(s.Start(hurt)) }},
	)
}

// leader is the node that leads, any node while none does.
func (s StoreByProgram) leader(rng *rand.Rand) realstore.Node {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if leader, found := s.Leader(ctx); found {
		return leader
	}
	return s.Nodes()[rng.IntN(len(s.Nodes()))]
}

func (s StoreByProgram) each(do func(realstore.Node) error) {
	for _, n := range s.Nodes() {
		s.told(do(n))
	}
}

func (s StoreByProgram) told(err error) {
	if err != nil {
		s.Failed(err)
	}
}
