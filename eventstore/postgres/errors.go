package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pg"
)

// translate turns an error of the driver into one of the contract. It is the
// context's error when ctx has ended; [eventstore.ErrUnavailable] when the
// database could not be reached, was shut down, lacked resources or took too
// long; and itself when the database refused what it was asked.
func translate(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if pg.Passing(err) {
		return fmt.Errorf("%w: %s: %w", eventstore.ErrUnavailable, operation, err)
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// violatesEventID reports whether an insert failed because an event id is in
// the ledger already.
func violatesEventID(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == pg.UniqueViolation && refused.ConstraintName == "events_id_key"
}
