package ledger

import (
	"context"
	"errors"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// RecordSigningKey puts one of the first signing keys' public half on record, once, in a
// stream of its own. Their states need no event: see [domain.SigningKeys.With].
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

// SigningKeys reads the life of the signing keys as the ledger knows it now.
func (l *Ledger) SigningKeys(ctx context.Context) (domain.SigningKeys, error) {
	keys, err := l.signingKeys.read(ctx, domain.SigningKeysStream)
	return keys.state, err
}

// ChangeSigningKeys decides a command on the signing keys, which it takes with those
// that are stored and not on record: with the first change these are put on record too.
// They must have been looked up after the call began of which the command is a part.
func (l *Ledger) ChangeSigningKeys(
	ctx context.Context, stored []domain.StoredSigningKey, command domain.SigningKeyCommand,
) (Outcome[domain.SigningKeys], error) {
	nobodys := func(domain.SigningKeys) domain.OrganizationID { return domain.OrganizationID{} }
	return l.signingKeys.execute(ctx, domain.SigningKeysStream, System(), nobodys, func(keys domain.SigningKeys) ([]domain.Event, error) {
		events, err := keys.With(stored).Decide(command)
		if err != nil || len(events) == 0 {
			return nil, err
		}
		return append(keys.Adopt(stored), events...), nil
	})
}

// AdoptSigningKeys puts those keys on record that are stored and are not yet.
func (l *Ledger) AdoptSigningKeys(ctx context.Context, stored []domain.StoredSigningKey) error {
	nobodys := func(domain.SigningKeys) domain.OrganizationID { return domain.OrganizationID{} }
	_, err := l.signingKeys.execute(ctx, domain.SigningKeysStream, System(), nobodys, func(keys domain.SigningKeys) ([]domain.Event, error) {
		return keys.Adopt(stored), nil
	})
	return err
}
