package follow

import (
	"context"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// Follower takes the events of the ledger, in order, to a [Sink].
type Follower struct {
	Name  string        // of its place and its lease; never changes, and no other follower has it
	Types []domain.Type // the events it wants; nil means all there are, also unknown ones
	Sink  Sink

	// Version is of what the sink makes of events. A follower does not run where
	// another version is stored. It stays 0 where nothing can be derived again.
	Version int

	// Core followers are those that commands wait for: each of their transactions
	// is announced to the other processes.
	Core bool

	// Pace is the least time between two transactions (or looks at the ledger):
	// events that come faster share one. Default: 5 ms; 1 ms for core followers.
	Pace time.Duration

	// Undecoded: the sink needs no more than that an event happened, where and to
	// whom, as [Undecoded] gives it. So there is no event that it cannot take.
	Undecoded bool

	// Prepare is called before the follower runs, without its lease, until it
	// returns nil for the first time. May be nil.
	Prepare func(ctx context.Context) error
}

const (
	defaultPace = 5 * time.Millisecond
	corePace    = time.Millisecond
)

func (f *Follower) pace() time.Duration {
	switch {
	case f.Pace > 0:
		return f.Pace
	case f.Core:
		return corePace
	}
	return defaultPace
}

// Wants reports whether the follower takes events of a type.
func (f *Follower) Wants(t domain.Type) bool {
	return f.Types == nil || slices.Contains(f.Types, t)
}

// readModel reports whether the follower writes what readers wait for.
func (f *Follower) readModel() bool {
	_, is := f.Sink.(Rows)
	return is
}

// Lease names the right to run the follower, of one process at a time.
func (f *Follower) Lease() string { return f.Sink.kind() + " " + f.Name }

func (f *Follower) filter() eventstore.Filter { return Filter(f.Types) }

// mustDiffer panics when two followers have one name.
func mustDiffer(followers []Follower) {
	seen := make(map[string]bool, len(followers))
	for _, f := range followers {
		if seen[f.Name] {
			panic("follow: two followers are called " + f.Name + ", and would share one place")
		}
		seen[f.Name] = true
	}
}
