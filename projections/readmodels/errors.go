package readmodels

import "errors"

var (
	// ErrNotFound: there is no such thing, or not in the tenant that asked.
	ErrNotFound = errors.New("not found")
	// ErrBadCursor: a cursor that no list of ours has given out.
	ErrBadCursor = errors.New("the cursor is not valid")
	// ErrReadOnly: the database answers and takes no writes.
	ErrReadOnly = errors.New("the database is read-only")
)
