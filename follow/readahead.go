package follow

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/wait"
)

// step is a batch of a subscription, decoded.
type step struct {
	events   []Event
	poison   *PoisonError // the event after them, which cannot be decoded
	position eventstore.Position
	head     eventstore.Position
	err      error // the store's; nothing else counts then
}

// fullEnough is how many events make the next batch come without pacing.
const fullEnough = 500

// readAhead reads and decodes the next batch while the one before is being
// taken, until ctx ends, the store fails or an event cannot be decoded. It
// looks at the ledger at most once in pace: what comes faster shares a batch.
func (f *Follower) readAhead(ctx context.Context, subscription eventstore.Subscription, steps chan<- step) {
	for {
		batch, err := subscription.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		looked := time.Now()
		s := step{position: batch.Position, head: batch.Head, err: err}
		if err == nil {
			s.events, s.poison = f.decodeAll(batch.Events)
		}
		select {
		case steps <- s:
		case <-ctx.Done():
			return
		}
		if s.err != nil || s.poison != nil {
			return
		}
		if len(batch.Events) < fullEnough && wait.For(ctx, time.Until(looked.Add(f.pace()))) != nil {
			return
		}
	}
}
