package follow

import (
	"errors"
	"fmt"

	"github.com/sentryagent/agentidp/eventstore"
)

var (
	// ErrBehind: a read model has not reached a position. Details are in a
	// [BehindError].
	ErrBehind = errors.New("the read model is behind")
	// ErrFenced: the place is not where this process left it, so another one has
	// been at work.
	ErrFenced = errors.New("the checkpoint was moved by another runner")
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
		state = halted
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

// PoisonError is an event that a follower cannot take, however often it tries.
type PoisonError struct {
	Position eventstore.Position
	Cause    error
}

func (e *PoisonError) Error() string {
	return fmt.Sprintf("event at position %d: %v", e.Position, e.Cause)
}

func (e *PoisonError) Unwrap() error { return e.Cause }

// VersionError: what is stored is of another version than this build's.
type VersionError struct{ Stored, Own int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the stored read model has version %d, this build writes version %d", e.Stored, e.Own)
}
