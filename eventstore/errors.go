package eventstore

import (
	"errors"
	"fmt"
)

var (
	// ErrUnavailable: the engine could not be reached or did not answer. Try
	// again later, an append with the same event ids.
	ErrUnavailable = errors.New("the event store is unavailable")
	// ErrDenied: the engine's server does not let us do what an engine has to. An
	// operator has to give the right.
	ErrDenied = errors.New("the event store denies access")
	// ErrDuplicateID: an event id is in the ledger already, naming another event.
	ErrDuplicateID = errors.New("an event with this id exists already")
	// ErrTooLarge: a record would exceed [MaxRecordSize].
	ErrTooLarge = errors.New("the event is too large")
	// ErrInvalidDraft: an event lacks what every event must have.
	ErrInvalidDraft = errors.New("the event is incomplete")
	// ErrMalformedRecord: bytes that are no record of a known format.
	ErrMalformedRecord = errors.New("malformed event record")
)

// ConflictError: the stream was not at the expected revision. Revisions are
// those of the newest event, -1 for a stream without any.
type ConflictError struct {
	Stream   string
	Expected int64
	Actual   int64
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("stream %s is at revision %d, expected %d", e.Stream, e.Actual, e.Expected)
}
