package follow

import "github.com/sentryagent/agentidp/eventstore"

// OnDecode has a runner tell of each event that it decodes.
func OnDecode(r *Runner, tell func()) {
	r.decode = func(e eventstore.Event) (Event, error) {
		tell()
		return Decode(e)
	}
}

// TailEvents is how many events the tail of a process keeps at most.
const TailEvents = tailEvents
