package ledger_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
)

// contended is a store on which another node is faster, so many times.
type contended struct {
	eventstore.Store
	races int
}

func (c *contended) Append(ctx context.Context, stream string, expected eventstore.ExpectedRevision, events ...eventstore.Draft) (eventstore.Appended, error) {
	if c.races > 0 {
		c.races--
		return eventstore.Appended{}, &eventstore.ConflictError{Stream: stream, Expected: expected.Revision(), Actual: math.MaxInt64}
	}
	return c.Store.Append(ctx, stream, expected, events...)
}

// A command gets through however often another node was faster, for it may be a
// revocation; one that never does is told so while its caller still waits.
func TestAContendedCommandIsTriedForAsLongAsItsCallerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &contended{Store: memory.New()}
		w := newWorld(t, store, 5)
		agent := w.register(t, "a@example.com").ID
		credential := w.credential(t, agent)
		revoke := func() (time.Duration, error) {
			begin := time.Now()
			err := w.revokeCredential(agent, credential)
			return time.Since(begin), err
		}
		store.races = math.MaxInt
		took, err := revoke()
		if !isCode(err, domain.CodeConflict) || took < 4*time.Second || took > 6*time.Second {
			t.Errorf("a command that always loses got %v after %s, want a conflict after 5 s", err, took)
		}
		store.races = 200
		if took, err := revoke(); err != nil || took > 3*time.Second {
			t.Errorf("a command that lost 200 times got %v after %s, want it done within 3 s", err, took)
		}
	})
}
