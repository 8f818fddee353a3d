package api

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

// 500 slow readers of one tenant are served in turn or hear within a second when
// to come again, and take no turn of another tenant's.
func TestSlowReadersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(time.Now)
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
					if refusal, ok := errors.AsType[*domain.Error](err); !ok || refusal.Code != codeRateLimit || refusal.Details[detailResetAt] == nil {
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
		if most.Load() != readsOfTenant || served.Load() < 8 || served.Load()+refused.Load() != 500 {
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
		turns := newTurns(time.Now)
		for range readsAtOnce {
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
