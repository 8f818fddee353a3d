package ledger

import (
	"context"
	"errors"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// RecordLoss puts it on record that the operator goes on without events that were
// lost, once for each origin, in the trail of the operator's organization.
func RecordLoss(ctx context.Context, store eventstore.Store, loss domain.EventsLost) error {
	l := New(store, nil, nil, Options{})
	operators, err := l.ClaimedBy(ctx, domain.ClaimSlug, domain.SystemSlug)
	if err != nil {
		return err
	}
	event, err := draft(System(), domain.OrganizationID{UUID: operators}, loss, l.now().UTC())
	if err != nil {
		return err
	}
	_, err = store.Append(ctx, domain.LedgerStream(loss.Origin), eventstore.NoStream(), event)
	if errors.As(err, new(*eventstore.ConflictError)) {
		return nil
	}
	return err
}
