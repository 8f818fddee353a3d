package projections

import (
	"errors"
	"fmt"

	"github.com/sentryagent/agentidp/eventstore"
)

var (
	// ErrBehind: a read model has not reached a position. Details are in a
	// [BehindError].
	ErrBehind = errors.New("the read model is behind")
	// ErrRunning: a server keeps the read models.
	ErrRunning = errors.New("a server is running on this database")
)

// BehindError says which read model is behind. It matches [ErrBehind] and what
// ended the wait.
type BehindError struct {
	Projection string
	Position   eventstore.Position // where it is
	Wanted     eventstore.Position
	Halted     bool  // it waits for an operator, not for time
	Cause      error // why the wait ended: the context's error; nil when halted
}

func (e *BehindError) Error() string {
	state := "behind"
	if e.Halted {
		state = "halted"
	}
	return fmt.Sprintf("read model %s is %s at position %d, wanted %d", e.Projection, state, e.Position, e.Wanted)
}

// Unwrap makes errors.Is find [ErrBehind] and the cause.
func (e *BehindError) Unwrap() []error {
	if e.Cause == nil {
		return []error{ErrBehind}
	}
	return []error{ErrBehind, e.Cause}
}

// poisonError is an event that cannot be applied, however often it is tried.
type poisonError struct {
	position eventstore.Position
	cause    error
}

func (e *poisonError) Error() string {
	return fmt.Sprintf("event at position %d: %v", e.position, e.cause)
}

func (e *poisonError) Unwrap() error { return e.cause }

// errFenced: the checkpoint is not where this runner left it, so another one
// has been at work.
var errFenced = errors.New("the checkpoint was moved by another runner")

// versionError: the stored read model is of another version than this build's.
type versionError struct{ stored, own int }

func (e *versionError) Error() string {
	return fmt.Sprintf("the stored read model has version %d, this build writes version %d", e.stored, e.own)
}
