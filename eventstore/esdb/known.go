package esdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// errBehind: a node's log ends before a record that this store has seen, and the node
// has not shown that it leads. A leader that was deposed and does not know it is
// behind, and so is one that wakes: for a second or two, and nothing is lost.
var errBehind = errors.New("the node's log ends before what is known, and it has not shown that it leads")

// hasWhatIsKnown refuses a new connection to a server whose log ends before a record
// that this store has seen. Where the node leads, which it shows by answering an
// append, the server was restored to an earlier state meanwhile: the error is an
// [*eventstore.LostError]. Nothing is asked while nothing is known.
func (s *Store) hasWhatIsKnown(ctx context.Context, c wire.Conn) error {
	if s.Known() == 0 && s.tail.glimpse().looked == wire.Start {
		return nil
	}
	behind, err := s.isBehind(ctx, c)
	if err != nil {
		return err
	}
	if behind == nil {
		s.lost.Store(false)
		return nil
	}
	if s.lost.Load() { // it was shown before
		return behind
	}
	proving, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	if err := s.barrier(proving, c); err != nil {
		return fmt.Errorf("%w: %w: %w", eventstore.ErrUnavailable, errBehind, err)
	}
	if behind, err = s.isBehind(ctx, c); err != nil || behind == nil {
		return err
	}
	s.lost.Store(true)
	return behind
}

// isBehind is a [*eventstore.LostError] where a node's log ends before what this store
// has seen, or has gone on from before the newest event of it in another way: with a
// barrier, say, in the event's place. That the node says so does not make it true.
func (s *Store) isBehind(ctx context.Context, c wire.Conn) (behind, err error) {
	event := s.Known()
	seen := max(event, eventstore.Position(s.tail.glimpse().looked.Commit))
	newest, err := c.ReadAll(ctx, wire.End, eventstore.Backwards, firstPage)
	if err != nil {
		return nil, err
	}
	end := eventstore.Position(0)
	if len(newest) > 0 {
		end = eventstore.Position(newest[0].Position.Commit)
	}
	there, err := s.stillThere(ctx, c, event)
	if err != nil {
		return nil, err
	}
	if there {
		return eventstore.CheckHead(seen, end), nil
	}
	for i := range newest { // what is there from before
		if end = eventstore.Position(newest[i].Position.Commit); end < event {
			return eventstore.CheckHead(event, end), nil
		}
	}
	return eventstore.CheckHead(event, 0), nil
}

// stillThere reports that a node has an event of the ledger, or had it until a scavenge.
func (s *Store) stillThere(ctx context.Context, c wire.Conn, event eventstore.Position) (bool, error) {
	if event == 0 {
		return true, nil
	}
	page, err := c.ReadAll(ctx, wire.At(uint64(event)), eventstore.Forwards, 1)
	if wire.VerdictOf(err) == wire.BadPosition {
		return false, nil
	}
	if err != nil || len(page) == 0 {
		return false, err
	}
	_, ours := s.event(&page[0])
	return ours || page[0].Position.Commit != uint64(event), nil
}
