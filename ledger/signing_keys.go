package ledger

import (
	"context"
	"errors"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// RecordSigningKey puts a new signing key's public half on record, once.
func (l *Ledger) RecordSigningKey(ctx context.Context, key domain.SigningKeyCreated) error {
	event, err := draft(System(), domain.OrganizationID{}, key, l.now().UTC())
	if err != nil {
		return err
	}
	_, err = l.store.Append(ctx, domain.SigningKeyStream(key.KeyID), eventstore.NoStream(), event)
	if _, ok := errors.AsType[*eventstore.ConflictError](err); ok {
		return nil
	}
	return err
}
