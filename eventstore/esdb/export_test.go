package esdb

import (
	"time"

	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// Library dials a real server, for tests that put mistakes in between.
func Library(url string, timeout time.Duration) (wire.Dialer, error) { return newLibrary(url, timeout) }
