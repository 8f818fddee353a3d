package health

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/ledger"
)

// A flood of requests for health costs one look after another with a pause in
// between, whoever hangs up meanwhile, and nobody hears what was before it asked.
func TestManyWhoAskForHealthShareLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p probes
		var looks, head, atOnce atomic.Int64
		ask := func(ctx context.Context) (ledgerHealth, gen.DependencyHealth) {
			looks.Add(1)
			if atOnce.Add(1) > 1 {
				t.Error("two looks at once")
			}
			defer atOnce.Add(-1)
			seen := head.Load()
			time.Sleep(10 * time.Millisecond) // of the bubble's clock
			if ctx.Err() != nil {
				return ledgerHealth{}, gen.DependencyHealth{Status: unreachable}
			}
			return ledgerHealth{known: true, head: ledger.Position(seen)}, gen.DependencyHealth{Status: healthy}
		}
		const clients, each = 1000, 3
		began := time.Now()
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				for range each {
					ctx, hangUp := context.WithCancel(t.Context())
					if i%2 == 0 {
						hangUp()
					}
					asked := head.Add(1)
					found, redis := p.shared(ctx, ask)
					hangUp()
					if !found.known || redis.Status != healthy || int64(found.head) < asked {
						t.Errorf("asked at %d, got %+v, %+v", asked, found, redis)
					}
				}
			})
		}
		all.Wait()
		if got, most := looks.Load(), 2+int64(time.Since(began)/probePause); got > most {
			t.Errorf("%d looks in %s, want at most %d", got, time.Since(began), most)
		}
		time.Sleep(probePause) // the last timer's
	})
}
