package wire

import "errors"

// Verdict is what an error of the server means for the one who met it.
type Verdict int

const (
	Passing     Verdict = iota // another try may do; of an append the outcome is open
	Broken                     // the same, and the connection is of no use any more
	NotLeader                  // the same, and another node leads
	Dropped                    // a subscription that the server has ended: make it again
	Conflict                   // the stream is at another revision
	Missing                    // there is no such stream
	Deleted                    // there is none, and there may never be one again
	BadPosition                // no record begins at this position
	TooLarge                   // the server takes no append of this size
	Denied                     // the user may not do this, or is not known
	Refused                    // the server said no and would say it again
)

// Error is an error with its verdict.
type Error struct {
	Verdict Verdict
	Err     error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// VerdictOf is the verdict of an error; what carries none is [Passing].
func VerdictOf(err error) Verdict {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Verdict
	}
	return Passing
}

// Final reports that the same request would meet the same error again.
func (v Verdict) Final() bool { return v >= Conflict }
