package projections

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
)

// Projection folds events into tables of its own.
type Projection struct {
	Name    string        // of the checkpoint; never changes
	Version int           // of what Apply makes of events
	Types   []domain.Type // the events it wants; nil means all there are, also unknown ones
	Tables  []string      // that it writes and nobody else does

	// Core marks the read models of the registry: [Progress.Wait] waits for
	// them, and each of their transactions is announced to other processes.
	Core bool

	// Pace is the least time between two transactions (or looks at the ledger):
	// events that come faster share one. Default: 5 ms, of core projections,
	// which commands wait for and which few events concern, 1 ms.
	Pace time.Duration

	// Undecoded: Apply needs no more than that an event happened, where and to
	// whom: of the record stream, revision, id, type, organization and time, its
	// hash, and no Fact. So there is no event that it cannot take.
	Undecoded bool

	// Apply writes what the events mean. It is called with 1 to 1,000 of them
	// in ledger order, has no side effects but those in tx, and applying an
	// event again changes nothing. What it cannot apply it refuses with an
	// error that is not the database's.
	Apply func(ctx context.Context, tx pgx.Tx, events []follow.Event) error

	// Bulk does in a rebuild what Apply does, where that can be had faster; nil
	// where not.
	Bulk *Bulk
}

// Bulk is how a projection fills tables that nobody reads yet.
type Bulk struct {
	// Apply is as [Projection].Apply, but is called with any number of events,
	// and all of them are news to the tables.
	Apply func(ctx context.Context, tx pgx.Tx, events []follow.Event) error
	// Bare are the tables that it only adds rows to. It needs none of their
	// indexes, which are made when the rows are there.
	Bare []string
}

// applySize is how many events Apply is called with at most.
const applySize = 1000

// Wants reports whether the projection takes events of a type.
func (p *Projection) Wants(t domain.Type) bool {
	return p.Types == nil || slices.Contains(p.Types, t)
}

// decode reads an event as the projection wants it.
func (p *Projection) decode(e eventstore.Event) (follow.Event, error) {
	if p.Undecoded {
		return follow.Undecoded(e), nil
	}
	return follow.Decode(e)
}
