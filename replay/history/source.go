package history

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Source is what a history is told from.
type Source struct {
	Events Events
	Finder Finder
	Now    func() time.Time
	Late   string // why no moment after now can be told
	Places bool   // positions are places in the source itself, not those of a ledger
}

// Events are what a history is folded from.
type Events interface {
	eventstore.StreamReader
	ReadAll(ctx context.Context, after eventstore.Position, filter eventstore.Filter) iter.Seq2[eventstore.Event, error]
	Head(ctx context.Context) (eventstore.Position, error)
}

// Finder knows where in the ledger to look for what is asked by its id.
type Finder interface {
	Credential(context.Context, readmodels.Tenant, domain.CredentialID) (readmodels.Credential, error)
	DelegationsOf(context.Context, readmodels.Tenant, readmodels.PartIn) (readmodels.DelegationIDs, error)
}

// PartIn reports whether a delegation is one of those that are looked for,
// whenever it was made.
func PartIn(d domain.DelegationCreated, wanted readmodels.PartIn) bool {
	return (d.DelegatorID == wanted.AgentID || d.DelegateeID == wanted.AgentID) && d.ExpiresAt.After(wanted.EndsAfter)
}

// DelegationIn is the making of a delegation, where an event is one.
func DelegationIn(event eventstore.Event) (created domain.DelegationCreated, err error) {
	fact, err := FactOf(event)
	created, _ = fact.(domain.DelegationCreated)
	return created, err
}

// FactOf is what an event says.
func FactOf(event eventstore.Event) (domain.Event, error) {
	record, err := event.Decode()
	if err != nil {
		return nil, fmt.Errorf("read position %d: %w", event.Position, err)
	}
	fact, err := domain.Decode(domain.Type(record.Type), record.Schema, record.Data)
	if err != nil {
		return nil, fmt.Errorf("read position %d: %w", event.Position, err)
	}
	return fact, nil
}
