package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// Verifier proves a ledger. It is safe for concurrent use.
type Verifier struct{ store eventstore.Store }

// NewVerifier makes a verifier of the ledger in a store.
func NewVerifier(store eventstore.Store) *Verifier { return &Verifier{store: store} }

// Scope says which part of the ledger to verify. The zero Scope is all of it.
type Scope struct {
	Organization domain.OrganizationID // only this tenant's events
	From, To     time.Time             // only events recorded in [From, To]; zero: no bound
}

// Report is what a verification found.
type Report struct {
	Checked int64             // events
	Break   *eventstore.Break // the first that was found, nil when everything holds
}

// Verify hashes every event in scope again, compares what the engine says of
// it with its record, and follows the chain of every stream. Over the whole
// ledger it also insists on the head, and on dense positions where the engine
// has them. It stops at the first break; an error means that it could not look.
//
// Memory grows with the number of streams (some 80 bytes each), not of events.
func (v *Verifier) Verify(ctx context.Context, scope Scope) (Report, error) {
	whole := scope == Scope{}
	var head eventstore.Position
	if whole {
		var err error
		if head, err = v.store.Head(ctx); err != nil {
			return Report{}, fmt.Errorf("verify: %w", err)
		}
	}
	chain := eventstore.NewChain(eventstore.ChainOptions{Dense: whole && eventstore.Dense(v.store), Midway: !scope.From.IsZero()})
	filter := eventstore.Filter{Organization: scope.Organization.UUID, From: scope.From, To: scope.To}
	for event, err := range v.store.ReadAll(ctx, 0, filter) {
		if err != nil {
			return Report{}, fmt.Errorf("verify after position %d: %w", chain.Position(), err)
		}
		if found := breakIn(chain.Check(event), scope); found != nil {
			return Report{Checked: chain.Count(), Break: found}, nil
		}
	}
	report := Report{Checked: chain.Count()}
	if chain.Position() < head {
		report.Break = &eventstore.Break{
			Kind: eventstore.BreakGap, Position: head, EventID: uuid.Nil,
			Detail: fmt.Sprintf("the ledger ends at position %d, its head says %d", chain.Position(), head),
		}
	}
	return report, nil
}

// breakIn is the break that an event showed, unless it is none in this scope:
// of a stream that several tenants share, one of them sees only parts.
func breakIn(err error, scope Scope) *eventstore.Break {
	var found *eventstore.Break
	if !errors.As(err, &found) {
		return nil
	}
	if !scope.Organization.IsZero() && found.Kind == eventstore.BreakMissing && shared(found.Stream) {
		return nil
	}
	return found
}

func shared(stream string) bool {
	return strings.HasPrefix(stream, "security-") || strings.HasPrefix(stream, "claim-")
}
