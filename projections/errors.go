package projections

import (
	"errors"

	"github.com/sentryagent/agentidp/follow"
)

var (
	// ErrBehind: a read model has not reached a position. Details are in a
	// [BehindError].
	ErrBehind = follow.ErrBehind
	// ErrRunning: a server keeps the read models.
	ErrRunning = errors.New("a server is running on this database")
)
