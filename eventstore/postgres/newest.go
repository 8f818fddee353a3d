package postgres

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
)

// Newest implements [eventstore.Store]. Of one organization it goes by the
// index. Of all it looks back window by window, so it takes as long as what
// passes the filter is far from the end.
func (s *Store) Newest(ctx context.Context, n int, filter eventstore.Filter) ([]eventstore.Event, error) {
	upTo, err := s.Head(ctx)
	if err != nil {
		return nil, err
	}
	scan := newScan(filter)
	var newest []eventstore.Event // newest first
	if filter.Organization != uuid.Nil {
		newest, err = scan.ofOrganization(ctx, s.pool, selectNewestOfOrganization, 0, upTo, n)
		slices.Reverse(newest)
		return newest, translate(ctx, "read the newest events of an organization", err)
	}
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
