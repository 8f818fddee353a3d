package clientauth

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestAnAssertionWorksOnce(t *testing.T) {
	database := pgtest.New(t, pgtest.Migrated)
	assertions := NewUsedAssertions(pgtest.Pool(t, database.ServerURL))
	client, other := domain.AgentID{UUID: uuid.New()}, domain.AgentID{UUID: uuid.New()}
	expiry := time.Now().Add(time.Minute)
	var firsts atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			first, err := assertions.Use(t.Context(), client, "jti", expiry)
			if err != nil {
				t.Error(err)
			}
			if first {
				firsts.Add(1)
			}
		})
	}
	all.Wait()
	if firsts.Load() != 1 {
		t.Errorf("one assertion worked %d times", firsts.Load())
	}
	if first, err := assertions.Use(t.Context(), other, "jti", expiry); err != nil || !first {
		t.Errorf("another client's assertion: %v, %v", first, err)
	}
}
