package esdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

var (
	errClosed             = fmt.Errorf("%w: the store is closed", eventstore.ErrUnavailable)
	errSubscriptionClosed = errors.New("the subscription is closed")
)

// translate turns an error of the client into one of the contract. It is the
// context's error when ctx has ended, itself when the server refused what it
// was asked, and [eventstore.ErrUnavailable] otherwise.
func translate(ctx context.Context, operation string, err error) error {
	switch {
	case err == nil, errors.Is(err, eventstore.ErrUnavailable):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case wire.VerdictOf(err).Final():
		return fmt.Errorf("%s: %w", operation, err)
	}
	return fmt.Errorf("%w: %s: %w", eventstore.ErrUnavailable, operation, err)
}
