package esdb

import (
	"context"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// Bounds of the first look at the ledger's end, which in any case goes on to
// the newest event.
const (
	seedEvents = tailEvents / 4
	seedPages  = 64
	pageOfAll  = 512
)

// seed reads the end of the ledger.
func (s *Store) seed(ctx context.Context, c wire.Conn) error {
	from := wire.End
	var events []eventstore.Event // newest first
	var looked, oldest wire.Position
	for n := 1; ; n++ {
		page, err := c.ReadAll(ctx, from, eventstore.Backwards, pageOfAll)
		if err != nil {
			return err
		}
		for i := range page {
			r := &page[i]
			if looked.Commit == 0 {
				looked = r.Position
			}
			if e, ok := s.event(r); ok {
				events = append(events, e)
			}
		}
		if oldest = (wire.Position{}); len(page) < pageOfAll {
			break
		}
		oldest = page[len(page)-1].Position
		from = oldest
		if len(events) >= seedEvents || len(events) > 0 && n >= seedPages {
			break
		}
	}
	slices.Reverse(events)
	low, since := eventstore.Position(0), time.Time{}
	switch {
	case oldest == wire.Start:
	case len(events) == 0:
		since = time.Now()
	default: // a place of the ledger's own
		low, since = events[0].Position, events[0].RecordedAt
		events = events[1:]
	}
	s.index.seed(since)
	s.index.add(events...)
	s.tail.begin(events, low, looked)
	return nil
}
