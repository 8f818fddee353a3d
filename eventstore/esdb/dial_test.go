package esdb_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/modelwire"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// hanging dials in vain the first times: who is asked for the way does not answer.
type hanging struct {
	wire.Dialer
	left    atomic.Int64
	waiting atomic.Int64
}

func (h *hanging) Dial(ctx context.Context) (wire.Conn, error) {
	if h.left.Add(-1) < 0 {
		return h.Dialer.Dial(ctx)
	}
	h.waiting.Add(1)
	defer h.waiting.Add(-1)
	<-ctx.Done()
	return nil, ctx.Err()
}

// An attempt to connect that hangs is not waited for, and is given up once another
// is through.
func TestADialThatHangsIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialer := &hanging{Dialer: &modelwire.Dialer{Cluster: modelled(t, model.Options{Latency: time.Millisecond})}}
		dialer.left.Store(2)
		store := esdb.NewOn(dialer, esdb.Options{})
		t.Cleanup(store.Close)
		begin := time.Now()
		headOf(t, store)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the first answer took %s", took)
		}
		synctest.Wait()
		if n := dialer.waiting.Load(); n != 0 {
			t.Errorf("%d attempts still wait", n)
		}
	})
}
