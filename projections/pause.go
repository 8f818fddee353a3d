package projections

import (
	"time"

	"github.com/sentryagent/agentidp/internal/wait"
)

const answerTimeout = 3 * time.Second // for statements that take no time

// newBackoff is the time between tries of all that reads the ledger or writes a
// read model.
func newBackoff() wait.Backoff {
	return wait.Backoff{First: 100 * time.Millisecond, Longest: 5 * time.Second}
}
