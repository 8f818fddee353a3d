package projections

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sentryagent/agentidp/eventstore"
)

// applySafely calls an Apply and makes a panic an error: it halts one
// projection, not the server.
func applySafely(ctx context.Context, tx pgx.Tx, apply func(context.Context, pgx.Tx, []Event) error, events []Event) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return apply(ctx, tx, events)
}

// divide has events written. When they fail together it finds out which one is
// to blame: all before it are written.
func divide(events []Event, to eventstore.Position, write func([]Event, eventstore.Position) error) error {
	err := write(events, to)
	var poison *poisonError
	if !errors.As(err, &poison) || len(events) == 1 {
		return err
	}
	half := len(events) / 2
	if err := divide(events[:half], events[half-1].Position, write); err != nil {
		return err
	}
	return divide(events[half:], to, write)
}

// permanent reports whether an error of Apply is the events' fault, so that
// trying again can only fail again. Whatever may be the database's fault (it
// is away, full, read-only, not migrated, has chosen us as a deadlock's
// victim) is not: halting for that would be wrong, and so is skipping.
func permanent(ctx context.Context, tx pgx.Tx, err error) bool {
	if ctx.Err() != nil || tx.Conn().IsClosed() ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return true // the connection is fine and the database did not object: the handler did
	}
	switch pgErr.Code[:min(2, len(pgErr.Code))] {
	case "21", // cardinality violation
		"22", // data exception
		"23", // integrity constraint violation
		"54": // program limit exceeded: a row too large for its index
		return true
	}
	return false
}

// passing reports whether a query failed for a reason that asking again later
// may outlast: the database was away, shutting down or out of resources.
func passing(err error) bool {
	var refused *pgconn.PgError
	var unread pgx.ScanArgError
	switch {
	case errors.As(err, &unread), errors.Is(err, eventstore.ErrMalformedRecord):
		return false
	case !errors.As(err, &refused):
		return true // the connection
	}
	switch refused.Code[:min(2, len(refused.Code))] {
	case "08", // connection
		"40", // lost to another transaction
		"53", // resources
		"57", // shutting down, cancelled
		"58": // system error
		return true
	}
	return false
}

// validText is s as PostgreSQL takes it, cut to a length in bytes.
func validText(s string, longest int) string {
	s = strings.ReplaceAll(s, "\x00", "")
	return strings.ToValidUTF8(s[:min(len(s), longest)], "")
}
