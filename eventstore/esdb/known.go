package esdb

import (
	"context"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// hasWhatIsKnown refuses a new connection to a server whose log ends before a record
// that this store has seen: it was restored to an earlier state meanwhile. Nothing is
// asked while nothing is known.
func (s *Store) hasWhatIsKnown(ctx context.Context, c wire.Conn) error {
	known := max(s.Known(), eventstore.Position(s.tail.glimpse().looked.Commit))
	if known == 0 {
		return nil
	}
	newest, err := c.ReadAll(ctx, wire.End, eventstore.Backwards, 1)
	if err != nil {
		return err
	}
	var head eventstore.Position
	if len(newest) > 0 {
		head = eventstore.Position(newest[0].Position.Commit)
	}
	return eventstore.CheckHead(known, head)
}
