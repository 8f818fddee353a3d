package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sentryagent/agentidp/eventstore"
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
	var refused *pgconn.PgError
	var connecting *pgconn.ConnectError
	if errors.As(err, &refused) && !errors.As(err, &connecting) && !passing(refused.Code) {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return fmt.Errorf("%w: %s: %w", eventstore.ErrUnavailable, operation, err)
}

// passing reports whether trying again later may help, by SQLSTATE.
func passing(code string) bool {
	switch code {
	case "25006", // read-only: a standby that has not been promoted yet
		"25P03", // idle in transaction for too long
		"40001", "40P01",
		"55P03", // the lock was not to be had in time
		"57014": // cancelled, as by statement_timeout
		return true
	}
	if len(code) < 3 {
		return false
	}
	switch code[:2] {
	case "08", "53", "58": // connection, resources, system error
		return true
	}
	return code[:3] == "57P" // shutting down, starting up
}

// violatesEventID reports whether an insert failed because an event id is in
// the ledger already.
func violatesEventID(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "23505" && refused.ConstraintName == "events_id_key"
}
