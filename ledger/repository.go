package ledger

import (
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// aggregate is what the machinery needs of one; deciding is the command's affair.
type aggregate[S any] interface {
	Evolve(event domain.Event, at time.Time) S
}

// versioned is an aggregate and the place in the ledger that it is the state of.
type versioned[S any] struct {
	state    S
	revision int64 // of the newest event applied, -1 for none
	position eventstore.Position
	hash     eventstore.Hash
}

// repository loads, keeps and changes the aggregates of one kind.
type repository[S aggregate[S]] struct {
	store         eventstore.Store
	cache         *cache[S] // may be behind, never wrong
	snapshots     *Snapshots
	snapshotShape string // names the JSON shape of S; change it together with S
	snapshotEvery int64
	now           func() time.Time
	jitter        func(most time.Duration) time.Duration
	logger        *slog.Logger

	mu    sync.Mutex // guards lanes and the queues in them
	lanes map[string]*lane[S]
}

func newRepository[S aggregate[S]](store eventstore.Store, shape string, weigh func(S) int, options Options) *repository[S] {
	return &repository[S]{
		store:         store,
		cache:         newCache(options.CacheSize, options.CacheBytes, weigh),
		snapshots:     options.Snapshots,
		snapshotShape: shape,
		snapshotEvery: options.SnapshotEvery,
		now:           options.Now,
		jitter:        options.Jitter,
		logger:        options.Logger,
		lanes:         map[string]*lane[S]{},
	}
}

// draft makes the storable form of an event.
func draft(origin Origin, organization domain.OrganizationID, event domain.Event, now time.Time) (eventstore.Draft, error) {
	eventType, schema, data, err := domain.Encode(event)
	if err != nil {
		return eventstore.Draft{}, err
	}
	return eventstore.Draft{
		ID:           uuid.Must(uuid.NewV7()),
		Type:         string(eventType),
		Schema:       schema,
		Organization: organization.UUID,
		Actor:        origin.Actor,
		Time:         now,
		Request:      origin.Request,
		Causation:    origin.Causation,
		Data:         data,
	}, nil
}
