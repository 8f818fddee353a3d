package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Node is a server that can be hurt. Each method returns when that is done.
type Node interface {
	Kill()    // at once, as a power cut would
	Restart() // after Kill; the node may take a while to serve
	Freeze()
	Thaw()
}

// Member is a node and what it needs.
type Member struct {
	Node
	Database, Redis *Proxy
}

// Fault is what happens to a node.
type Fault string

const (
	Killed         Fault = "killed"
	Frozen         Fault = "frozen"
	FrozenLong     Fault = "frozen beyond its leases"
	DatabaseSilent Fault = "database silent"
	DatabaseCut    Fault = "database cut off"
	DatabaseSlow   Fault = "database slow"
	RedisSilent    Fault = "redis silent"
	RedisCut       Fault = "redis cut off"
)

// Faults are what happens to the members of a cluster: at random, from a seed,
// to two of three at a time at most.
type Faults struct {
	Seed    uint64
	Members []Member
	// Beyond is how long a node is frozen to outlast its leases.
	Beyond time.Duration

	mu    sync.Mutex // guards count
	count map[Fault]int
}

// Run hurts and heals until ctx ends; then everything is healed.
func (f *Faults) Run(ctx context.Context) {
	f.count = map[Fault]int{}
	together := make(chan struct{}, max(1, len(f.Members)-1))
	var victims sync.WaitGroup
	for i, m := range f.Members {
		rng := rand.New(rand.NewPCG(f.Seed, uint64(i)))
		victims.Go(func() {
			for between(ctx, rng, time.Second, 4*time.Second) {
				select {
				case together <- struct{}{}:
				case <-ctx.Done():
					return
				}
				f.hurt(ctx, rng, m)
				<-together
			}
		})
	}
	victims.Wait()
}

// Count is how often each fault happened.
func (f *Faults) Count() map[Fault]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	count := make(map[Fault]int, len(f.count))
	for fault, n := range f.count {
		count[fault] = n
	}
	return count
}

func (f *Faults) hurt(ctx context.Context, rng *rand.Rand, m Member) {
	fault := [...]Fault{
		Killed, Killed, Killed, Frozen, Frozen, FrozenLong, DatabaseSilent, DatabaseSilent, DatabaseCut, DatabaseSlow, RedisSilent, RedisCut,
	}[rng.IntN(12)]
	f.mu.Lock()
	f.count[fault]++
	f.mu.Unlock()
	lasts := func(least, most time.Duration) { between(ctx, rng, least, most) }
	switch fault {
	case Killed:
		m.Kill()
		lasts(100*time.Millisecond, time.Second)
		m.Restart()
	case Frozen:
		m.Freeze()
		lasts(200*time.Millisecond, 4*time.Second)
		m.Thaw()
	case FrozenLong:
		m.Freeze()
		lasts(f.Beyond, f.Beyond+2*time.Second)
		m.Thaw()
	case DatabaseSilent:
		m.Database.Drop()
		lasts(500*time.Millisecond, 7*time.Second)
		m.Database.Pass()
	case DatabaseCut:
		m.Database.Cut()
		lasts(100*time.Millisecond, 3*time.Second)
		m.Database.Pass()
	case DatabaseSlow:
		m.Database.Delay(time.Duration(1+rng.IntN(40)) * time.Millisecond)
		lasts(time.Second, 4*time.Second)
		m.Database.Pass()
	case RedisSilent:
		m.Redis.Drop()
		lasts(time.Second, 4*time.Second)
		m.Redis.Pass()
	case RedisCut:
		m.Redis.Cut()
		lasts(time.Second, 4*time.Second)
		m.Redis.Pass()
	default:
		panic(fmt.Sprintf("no such fault: %s", fault))
	}
}

// between waits for a time at random, and reports whether ctx goes on.
func between(ctx context.Context, rng *rand.Rand, least, most time.Duration) bool {
	timer := time.NewTimer(least + time.Duration(rng.Int64N(int64(most-least)+1)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
