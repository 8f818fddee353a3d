package chaos

import (
	"context"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/internal/wait"
)

// Fault is something that goes wrong for a while.
type Fault struct {
	Name        string
	Weight      int           // how often it happens, compared with the others
	Least, Most time.Duration // how long it lasts
	Begin, End  func()
}

// Victim is what faults happen to, one at a time.
type Victim interface {
	// Faults are those there are; what is left open in them comes from rng.
	Faults(rng *rand.Rand) []Fault
}

// Faults are what happens to a cluster: at random, from a seed, to all but one
// of its members at a time at most.
type Faults struct {
	Seed    uint64
	Members []Victim
	// Others suffer as well, beside as many members as do.
	Others []Victim

	mu    sync.Mutex // guards count
	count map[string]int
}

// Run hurts and heals until ctx ends; then everything is healed.
func (f *Faults) Run(ctx context.Context) {
	f.count = map[string]int{}
	var victims sync.WaitGroup
	inTurn := func(seed int, v Victim, together chan struct{}) {
		rng := rand.New(rand.NewPCG(f.Seed, uint64(seed)))
		victims.Go(func() { f.hurt(ctx, rng, v.Faults(rng), together) })
	}
	together := make(chan struct{}, max(1, len(f.Members)-1))
	for i, v := range f.Members {
		inTurn(i, v, together)
	}
	for i, v := range f.Others {
		inTurn(len(f.Members)+i, v, make(chan struct{}, 1))
	}
	victims.Wait()
}

// Count is how often each fault happened.
func (f *Faults) Count() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.count)
}

// hurt has one fault after another happen, each in its turn.
func (f *Faults) hurt(ctx context.Context, rng *rand.Rand, faults []Fault, together chan struct{}) {
	for between(ctx, rng, time.Second, 4*time.Second) {
		select {
		case together <- struct{}{}:
		case <-ctx.Done():
			return
		}
		fault := oneOf(rng, faults)
		f.mu.Lock()
		f.count[fault.Name]++
		f.mu.Unlock()
		fault.Begin()
		between(ctx, rng, fault.Least, fault.Most)
		fault.End()
		<-together
	}
}

// oneOf chooses by weight.
func oneOf(rng *rand.Rand, faults []Fault) Fault {
	total := 0
	for _, f := range faults {
		total += f.Weight
	}
	at := rng.IntN(total)
	for _, f := range faults {
		if at -= f.Weight; at < 0 {
			return f
		}
	}
	panic("no fault has a weight")
}

// between waits for a time at random, and reports whether ctx goes on.
func between(ctx context.Context, rng *rand.Rand, least, most time.Duration) bool {
	return wait.For(ctx, least+time.Duration(rng.Int64N(int64(most-least)+1))) == nil
}
