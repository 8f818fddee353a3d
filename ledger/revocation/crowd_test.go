package revocation_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// distant is a store that takes a while to say where the ledger ends: as of when it
// was asked.
type distant struct {
	eventstore.Store
	mu          sync.Mutex // guards what follows
	asked       int
	now, atOnce int // that are under way, and the most there were
}

const away = time.Millisecond

func (d *distant) Head(ctx context.Context) (eventstore.Position, error) {
	d.mu.Lock()
	d.asked++
	d.now++
	d.atOnce = max(d.atOnce, d.now)
	d.mu.Unlock()
	head, err := d.Store.Head(ctx)
	time.Sleep(away)
	d.mu.Lock()
	d.now--
	d.mu.Unlock()
	return head, err
}

// Where many wait while a read is under way a second one begins, and no more. Who
// comes while one is under way is in a later one: what was recorded before a check
// is seen by it, however many check.
func TestACrowdHasASecondReadOfItsOwn(t *testing.T) {
	means := map[int]time.Duration{}
	for _, crowd := range []int{0, 8} {
		synctest.Test(t, func(t *testing.T) {
			d := &distant{Store: memory.New()}
			r := revocation.New(d, revocation.Options{Crowd: crowd})
			if _, err := r.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			d.asked, d.atOnce = 0, 0
			const checks, every = 600, 50 * time.Microsecond // twenty for each read
			var longest, spent time.Duration
			var mu sync.Mutex // guards both
			var all sync.WaitGroup
			for range checks {
				time.Sleep(every)
				position := record(t, d.Store, newStream(), newOrganizationID(), issued(newAgentID(), newCredentialID()))
				all.Go(func() {
					begin := time.Now()
					if _, err := r.Sync(t.Context()); err != nil {
						t.Error(err)
					}
					if r.Position() < position {
						t.Errorf("a check knows of what there is up to %d, and %d was recorded before it", r.Position(), position)
					}
					mu.Lock()
					defer mu.Unlock()
					took := time.Since(begin)
					longest, spent = max(longest, took), spent+took
				})
			}
			all.Wait()
			atOnce := 1
			if crowd > 0 {
				atOnce = 2
			}
			if d.atOnce != atOnce {
				t.Errorf("crowd %d: %d reads at once, want %d", crowd, d.atOnce, atOnce)
			}
			if longest > 2*away {
				t.Errorf("crowd %d: a check took %s, want no longer than two reads", crowd, longest)
			}
			mean := spent / checks
			if means[crowd] = mean; crowd > 0 && mean >= means[0] {
				t.Errorf("a check takes %s in the mean, and %s where nobody has a second read", mean, means[0])
			}
			t.Logf("crowd %d: %d reads for %d checks, %s in the mean", crowd, d.asked, checks, mean)
		})
	}
}

// Few wait for the read that is under way.
func TestFewHaveNoSecondRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &distant{Store: memory.New()}
		r := revocation.New(d, revocation.Options{Crowd: 8})
		for range 20 {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					if _, err := r.Sync(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		if d.atOnce != 1 {
			t.Errorf("%d reads at once for eight checks, want one", d.atOnce)
		}
	})
}
