package esdb

import (
	"context"
	"slices"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// Newest implements [eventstore.Store]. The server's log is read backwards, so
// it takes as long as what passes the filter is far from the end.
func (s *Store) Newest(ctx context.Context, n int, filter eventstore.Filter) ([]eventstore.Event, error) {
	var newest []eventstore.Event // newest first
	from := wire.End
	for len(newest) < n {
		var page []wire.Record
		err := s.try(ctx, s.long, func(c wire.Conn) (err error) {
			page, err = c.ReadAll(ctx, from, eventstore.Backwards, largestPage)
			return err
		})
		if err != nil {
			return nil, translate(ctx, "read the newest events", err)
		}
		for i := range page {
			if e, ok := s.event(&page[i]); ok && len(newest) < n && filter.Passes(e) {
				newest = append(newest, e)
			}
		}
		if len(page) < largestPage {
			break
		}
		from = page[len(page)-1].Position
	}
	slices.Reverse(newest)
	return newest, nil
}
