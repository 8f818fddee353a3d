package projections

import (
	"context"
	"fmt"

	"github.com/sentryagent/agentidp/eventstore"
)

// landmark is an event and where it is in the ledger. What was derived from a ledger
// keeps one to know it by: positions mean nothing in another.
type landmark struct {
	Stream   string              `json:"stream"`
	Revision int64               `json:"revision"`
	Position eventstore.Position `json:"position"`
	Hash     eventstore.Hash     `json:"hash"`
}

// newestLandmark is that of the newest event that the audit trail shows; false where
// it is empty.
func newestLandmark(ctx context.Context, queries *Queries) (landmark, bool, error) {
	newest, err := queries.AuditEvents(ctx, AllOrganizations, AuditFilter{Page: Page{Limit: 1}, WithoutTotal: true})
	if err != nil || len(newest.Items) == 0 {
		return landmark{}, false, err
	}
	e := newest.Items[0]
	return landmark{e.Stream, e.Revision, e.Position, e.Hash}, true, nil
}

// in is nil where the event is in the ledger, just there. The error is an
// [*eventstore.LostError] where the ledger ends before it, and matches
// [ErrOtherLedger] where the ledger has something else there.
func (p landmark) in(ctx context.Context, store eventstore.Store) error {
	for found, err := range store.ReadStream(ctx, p.Stream, p.Revision, eventstore.Forwards) {
		switch {
		case err != nil:
			return fmt.Errorf("look for an event of the ledger: %w", err)
		case found.Hash != p.Hash:
			return p.elsewhere("is another one in this ledger")
		case found.Position != p.Position:
			return p.elsewhere(fmt.Sprintf("is at position %d of this ledger", found.Position))
		}
		return nil
	}
	head, err := store.Head(ctx)
	if err != nil {
		return fmt.Errorf("look for an event of the ledger: %w", err)
	}
	if err := eventstore.CheckHead(p.Position, head); err != nil {
		return err
	}
	return p.elsewhere("is not in this ledger")
}

func (p landmark) elsewhere(what string) error {
	return fmt.Errorf("%w: event %d of %s, at position %d there, %s", ErrOtherLedger, p.Revision, p.Stream, p.Position, what)
}
