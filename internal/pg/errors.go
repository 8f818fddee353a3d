package pg

import (
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs by the names that PostgreSQL's manual gives them (appendix A).
const (
	ReadOnlyTransaction = "25006" // as of a standby that has not been promoted
	UniqueViolation     = "23505"
	UndefinedObject     = "42704"
	DuplicateObject     = "42710"
	NotPermitted        = "42501"
	UndefinedTable      = "42P01"
	UndefinedColumn     = "42703"
	UndefinedFunction   = "42883"
	UndefinedSchema     = "3F000"
	UndefinedRole       = "22023" // of SET ROLE
	DeadlockDetected    = "40P01"
	LockNotAvailable    = "55P03"
	InternalError       = "XX000"

	idleTooLong = "25P03"
)

// State is the SQLSTATE with which the database refused a statement or a
// connection, and "" of an error that is not the database's.
func State(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Code
	}
	return ""
}

// Is reports whether the database refused with one of some SQLSTATEs.
func Is(err error, states ...string) bool {
	state := State(err)
	return state != "" && slices.Contains(states, state)
}

// Class is the first two characters of [State]. They say what kind of error it is.
func Class(err error) string {
	state := State(err)
	return state[:min(2, len(state))]
}

// Passing reports whether the same may succeed later: the database could not be
// reached, was shutting down, lacked resources, was read-only, took too long, or
// preferred another transaction. It is false of a nil error, of one that the
// database will repeat, and of an answer that could not be read.
func Passing(err error) bool {
	var connecting *pgconn.ConnectError
	var unread pgx.ScanArgError
	switch {
	case err == nil, errors.As(err, &unread):
		return false
	case errors.As(err, &connecting), State(err) == "":
		return true
	}
	switch Class(err) {
	case "08", // connection
		"40", // lost to another transaction
		"53", // resources
		"57", // shutting down, cancelled
		"58": // system error
		return true
	}
	return Is(err, ReadOnlyTransaction, LockNotAvailable, idleTooLong)
}
