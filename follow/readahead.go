package follow

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/wait"
)

// step is a stretch of the ledger, decoded.
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
// taken, until ctx ends, the store fails or an event cannot be decoded. It looks
// at the ledger at most once in pace: what comes faster shares a batch.
func (r *reader) readAhead(ctx context.Context, steps chan<- step) {
	defer r.close()
	for {
		read, err := r.next(ctx)
		if ctx.Err() != nil {
			return
		}
		looked := time.Now()
		s := step{position: read.position, head: read.head, err: err}
		if err == nil {
			s.events, s.poison = r.events(read.items)
		}
		select {
		case steps <- s:
		case <-ctx.Done():
			return
		}
		if s.err != nil || s.poison != nil {
			return
		}
		if len(read.items) < fullEnough && wait.For(ctx, time.Until(looked.Add(r.follower.pace()))) != nil {
			return
		}
	}
}
