package turns

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

// 500 slow readers of one tenant are served in turn or hear within a second when
// to come again, and take no turn of another tenant's.
func TestSlowReadersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(historyShares, time.Now)
		greedy, other := domain.OrganizationID{UUID: uuid.New()}, domain.OrganizationID{UUID: uuid.New()}
		var running, most, served, refused atomic.Int64
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() {
				begin := time.Now()
				release, err := turns.take(t.Context(), greedy)
				if took := time.Since(begin); took > readPatience {
					t.Errorf("a reader heard after %s", took)
				}
				if err != nil {
					if refusal, ok := errors.AsType[*domain.Error](err); !ok || refusal.Code != router.CodeRateLimit || refusal.Details[router.DetailResetAt] == nil {
						t.Errorf("take = %v, want a refusal that says when to come again", err)
					}
					refused.Add(1)
					return
				}
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(300 * time.Millisecond)
				running.Add(-1)
				served.Add(1)
				release()
			})
		}
		synctest.Wait()
		begin := time.Now()
		release, err := turns.take(t.Context(), other)
		if err != nil || time.Since(begin) > 0 {
			t.Errorf("another tenant's reader waited %s: %v", time.Since(begin), err)
		} else {
			release()
		}
		all.Wait()
		if most.Load() != int64(historyShares.tenant) || served.Load() < 8 || served.Load()+refused.Load() != 500 {
			t.Errorf("%d ran at once, %d were served, %d refused", most.Load(), served.Load(), refused.Load())
		}
		if len(turns.of) != 0 || len(turns.all) != 0 {
			t.Errorf("%d tenants and %d readers are left", len(turns.of), len(turns.all))
		}
	})
}

// A server that reads for many tenants says so as a server.
func TestReadersOfManyTenantsHearOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(historyShares, time.Now)
		for range historyShares.all {
			if _, err := turns.take(t.Context(), domain.OrganizationID{UUID: uuid.New()}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := turns.take(t.Context(), domain.OrganizationID{UUID: uuid.New()})
		if refusal, ok := errors.AsType[*domain.Error](err); !ok || refusal.Code != domain.CodeUnavailable {
			t.Errorf("take = %v, want that the server is busy", err)
		}
	})
}

// Readers that wait cost little, however many there are: here 500 of forty tenants,
// while the turns are taken.
func TestWaitingReadersTakeLittleMemory(t *testing.T) {
	const tenants, each, most = 40, 13, 50 << 20
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(historyShares, time.Now)
		for range historyShares.all {
			if _, err := turns.take(t.Context(), domain.OrganizationID{UUID: uuid.New()}); err != nil {
				t.Fatal(err)
			}
		}
		before := inUse()
		var told atomic.Int64
		var all sync.WaitGroup
		for range tenants {
			tenant := domain.OrganizationID{UUID: uuid.New()}
			for range each {
				all.Go(func() {
					if _, err := turns.take(t.Context(), tenant); err != nil {
						told.Add(1)
					}
				})
			}
		}
		synctest.Wait()
		if more := inUse() - before; more > most {
			t.Errorf("%d readers wait with %d bytes, want %d at most", tenants*each, more, most)
		}
		all.Wait()
		if told.Load() != tenants*each {
			t.Errorf("%d readers were told to come again, want all %d", told.Load(), tenants*each)
		}
		if len(turns.of) != historyShares.all {
			t.Errorf("%d tenants are remembered, want those %d that read", len(turns.of), historyShares.all)
		}
	})
}

// inUse is what the heap and the stacks take, without garbage.
func inUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// Readers of the trail are served in turn, and a tenant with many takes no turn of
// another's.
func TestReadersOfTheTrailAreServedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(trailShares, time.Now)
		greedy, other := domain.OrganizationID{UUID: uuid.New()}, domain.OrganizationID{UUID: uuid.New()}
		var served, refused atomic.Int64
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() {
				release, err := turns.take(t.Context(), greedy)
				if err != nil {
					refused.Add(1)
					return
				}
				time.Sleep(5 * time.Millisecond)
				served.Add(1)
				release()
			})
		}
		synctest.Wait()
		for range trailShares.tenant {
			begin := time.Now()
			release, err := turns.take(t.Context(), other)
			if err != nil || time.Since(begin) > 0 {
				t.Errorf("another tenant's reader waited %s: %v", time.Since(begin), err)
				continue
			}
			all.Go(func() {
				time.Sleep(time.Second)
				release()
			})
		}
		all.Wait()
		if served.Load() != int64(trailShares.waiting) || refused.Load() != int64(500-trailShares.waiting) {
			t.Errorf("%d were served and %d refused, want as many served as may wait", served.Load(), refused.Load())
		}
	})
}
