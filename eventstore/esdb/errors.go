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

// denied says what to do where the server does not let us in. Rights and users are
// the operator's; what a user needs at least has been found by trying.
func denied(err error) error {
	if unauthenticated(err) {
		return fmt.Errorf("user or password is wrong, or the server knows no such user: correct them in the connection string, "+
			"and percent-encode special characters (%w)", err)
	}
	return fmt.Errorf("the user of the connection string lacks a right: a plain user without groups will do once the metadata of $all "+
		`say {"$acl":{"$r":["$admins","USER"]}}, where no other ACL takes it from the user's own streams; see docs/runbooks/eventstoredb.md (%w)`, err)
}

// translate turns an error of the client into one of the contract. It is the
// context's error when ctx has ended, itself when the server refused what it
// was asked, and [eventstore.ErrUnavailable] otherwise.
func translate(ctx context.Context, operation string, err error) error {
	switch {
	case err == nil, errors.Is(err, eventstore.ErrUnavailable):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case wire.VerdictOf(err) == wire.Denied:
		return fmt.Errorf("%w: %s: %w", eventstore.ErrDenied, operation, denied(err))
	case wire.VerdictOf(err).Final():
		return fmt.Errorf("%s: %w", operation, err)
	}
	return fmt.Errorf("%w: %s: %w", eventstore.ErrUnavailable, operation, err)
}
