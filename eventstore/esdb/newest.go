package esdb

import (
	"context"
	"slices"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/sentryagent/agentidp/eventstore"
)

// Newest implements [eventstore.Store]. The server's log is read backwards, so
// it takes as long as what passes the filter is far from the end.
func (s *Store) Newest(ctx context.Context, n int, filter eventstore.Filter) ([]eventstore.Event, error) {
	var newest []eventstore.Event // newest first
	var from client.AllPosition = client.End{}
	for len(newest) < n {
		var page []*client.RecordedEvent
		err := s.try(ctx, func(c *conn) (err error) {
			page, err = readAllBackwards(ctx, c, from, pageOfAll)
			return err
		})
		if err != nil {
			return nil, translate(ctx, "read the newest events", err)
		}
		for _, r := range page {
			if e, ok := s.event(r); ok && len(newest) < n && filter.Passes(e) {
				newest = append(newest, e)
			}
		}
		if len(page) < pageOfAll {
			break
		}
		from = page[len(page)-1].Position
	}
	slices.Reverse(newest)
	return newest, nil
}
