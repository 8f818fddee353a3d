package postgres

import (
	"context"
	"slices"

	"github.com/sentryagent/agentidp/eventstore"
)

// Newest implements [eventstore.Store]. It looks back window by window, so it
// takes as long as what passes the filter is far from the end.
func (s *Store) Newest(ctx context.Context, n int, filter eventstore.Filter) ([]eventstore.Event, error) {
	upTo, err := s.Head(ctx)
	if err != nil {
		return nil, err
	}
	scan := newScan(filter)
	var newest []eventstore.Event // newest first
	for len(newest) < n && upTo > 0 {
		after := upTo - min(upTo, sparseWindow)
		events, err := scan.of(ctx, s.pool, selectNewestOf, after, upTo, n-len(newest))
		if err != nil {
			return nil, translate(ctx, "read the newest events", err)
		}
		newest, upTo = append(newest, events...), after
	}
	slices.Reverse(newest)
	return newest, nil
}
