package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// ReadModels tells when what was written can be read.
type ReadModels interface {
	// Wait returns nil once every read model that wants events of these types
	// has everything up to the position. It is bounded by ctx.
	Wait(ctx context.Context, position eventstore.Position, types ...domain.Type) error
}

// Options tune a [Ledger]. The zero value is usable.
type Options struct {
	CacheSize     int           // aggregates kept in memory, each kind by itself; default 20,000
	CacheBytes    int           // that those may take, about, each kind by itself; default 128 MiB
	SnapshotEvery int64         // events of a stream between two snapshots; default 100
	Grace         time.Duration // how long an unfinished registration is left alone; default 2 s
	ReadWait      time.Duration // how long a command waits for the read models; default 5 s
	Now           func() time.Time
	Logger        *slog.Logger
	Snapshots     *Snapshots // nil: no snapshots
	DIDKeys       DIDKeys    // nil: agents are registered without a DID document
	// Jitter draws a pause below the most, between attempts of commands that
	// compete for a stream. Default: at random.
	Jitter func(most time.Duration) time.Duration
}

// Ledger runs commands. It is safe for concurrent use.
type Ledger struct {
	store      eventstore.Store
	readModels ReadModels
	tenants    *revocation.Index // tells which organizations may have tokens issued
	grace      time.Duration
	readWait   time.Duration
	didKeys    DIDKeys
	now        func() time.Time
	logger     *slog.Logger

	agents        *repository[domain.Agent]
	organizations *repository[domain.Organization]
	seats         *repository[domain.Seats]
	claims        *repository[domain.Claim]
	delegations   *repository[domain.Delegation]
	signingKeys   *repository[domain.SigningKeys]
	partners      *repository[domain.Partner]
	failures      *failureGate
}

// New makes a ledger on a store. Without an index of revocations it issues no tokens.
func New(store eventstore.Store, readModels ReadModels, tenants *revocation.Index, options Options) *Ledger {
	if options.CacheSize == 0 {
		options.CacheSize = 20_000
	}
	if options.CacheBytes == 0 {
		options.CacheBytes = 128 << 20
	}
	if options.SnapshotEvery == 0 {
		options.SnapshotEvery = 100
	}
	if options.Grace == 0 {
		options.Grace = 2 * time.Second
	}
	if options.ReadWait == 0 {
		options.ReadWait = 5 * time.Second
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Jitter == nil {
		options.Jitter = rand.N[time.Duration]
	}
	return &Ledger{
		store:         store,
		readModels:    readModels,
		tenants:       tenants,
		grace:         options.Grace,
		readWait:      options.ReadWait,
		didKeys:       options.DIDKeys,
		now:           options.Now,
		logger:        options.Logger,
		agents:        newRepository[domain.Agent](store, "agent/4", weighAgent, options),
		organizations: newRepository[domain.Organization](store, "organization/4", weighOrganization, options),
		seats:         newRepository[domain.Seats](store, "seats/1", weighSeats, options),
		claims:        newRepository[domain.Claim](store, "claim/1", weighFixed[domain.Claim], options),
		delegations:   newRepository[domain.Delegation](store, "delegation/2", weighFixed[domain.Delegation], options),
		signingKeys:   newRepository[domain.SigningKeys](store, "signing_keys/1", weighFixed[domain.SigningKeys], options),
		partners:      newRepository[domain.Partner](store, "partner/1", weighPartner, options),
		failures:      newFailureGate(),
	}
}

// Origin says who caused a command and how it came in; it goes into every
// event that follows.
type Origin struct {
	Actor   eventstore.Actor
	Request eventstore.Request
	// Causation is the token.issued event of the token that the command came
	// with; uuid.Nil where it came with none.
	Causation uuid.UUID
}

// System is the origin of what the server does by itself.
func System() Origin {
	return Origin{Actor: eventstore.Actor{Kind: "system", ID: "agentidp"}}
}

// Outcome is what a command led to.
type Outcome[S any] struct {
	State     S                     // of the aggregate, with the command's own events applied
	Events    []domain.Event        // what the command added; empty when there was nothing to do
	Positions []eventstore.Position // of those events
	EventIDs  []uuid.UUID           // likewise
	// Position is where the ledger is known to show the state: that of the
	// newest event the state rests on.
	Position eventstore.Position
}

// UnsettledError: a command was done and is recorded, and the read models do not
// show it yet. It matches what the wait for them ended with.
type UnsettledError struct {
	Position Position // where the ledger shows the outcome
	Err      error
}

func (e *UnsettledError) Error() string {
	return fmt.Sprintf("recorded up to position %d, and not to be read yet: %v", e.Position, e.Err)
}

// Unwrap gives what the wait ended with.
func (e *UnsettledError) Unwrap() error { return e.Err }

// step is what a command rests on beside its own outcome: the state of another
// stream, which it may have changed first. Readers see that in the read models
// that want events of these types.
type step struct {
	position eventstore.Position // of the newest event of that state
	types    []domain.Type
}

// settle waits, within bounds, until the outcome of a command on registry state
// can be read, and every step that the command took before; else the error is an
// [UnsettledError]. Where there was nothing to do, another has done it, or this
// very command when it was sent before, and that may be a moment ago: then every
// read model counts.
func settle[S any](ctx context.Context, l *Ledger, outcome Outcome[S], before ...step) (Outcome[S], error) {
	if l.readModels == nil {
		return outcome, nil
	}
	types := make([]domain.Type, len(outcome.Events))
	for i, event := range outcome.Events {
		types[i] = event.EventType()
	}
	ctx, cancel := context.WithTimeout(ctx, l.readWait)
	defer cancel()
	for _, s := range append(before, step{outcome.Position, types}) {
		if err := l.readModels.Wait(ctx, s.position, s.types...); err != nil {
			return outcome, &UnsettledError{outcome.Position, err}
		}
	}
	return outcome, nil
}

// Agent reads an agent as the ledger knows it now.
func (l *Ledger) Agent(ctx context.Context, id domain.AgentID) (domain.Agent, error) {
	agent, err := l.agents.read(ctx, domain.AgentStream(id))
	return agent.state, err
}

// Organization reads an organization as the ledger knows it now.
func (l *Ledger) Organization(ctx context.Context, id domain.OrganizationID) (domain.Organization, error) {
	organization, err := l.organizations.read(ctx, domain.OrganizationStream(id))
	return organization.state, err
}

// NewID mints an id that sorts by the time it was made (RFC 9562, version 7).
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
