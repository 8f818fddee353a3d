package eventstore

import (
	"context"

	"github.com/google/uuid"
)

// Owner tells whose events a stream has, by its first one: at one and the same
// cost for a short stream, a long one and one that is not there.
func Owner(ctx context.Context, store Store, stream string) (owner uuid.UUID, found bool, err error) {
	for event, err := range store.ReadStream(ctx, stream, 0, Backwards) {
		return event.Organization, err == nil, err
	}
	return uuid.Nil, false, nil
}
