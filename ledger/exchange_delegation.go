package ledger

import (
	"context"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

// Exchanged is the issuance of a token that acts under a delegation.
type Exchanged struct {
	Issued       domain.TokenIssued
	Position     Position // of that event
	EventID      uuid.UUID
	Organization domain.OrganizationID
	// Actors are who acts for the subject: whoever holds the token, then whom
	// each was lent the authority by, up to the first that it was lent to.
	Actors []domain.AgentID
}

// ExchangeDelegation records the issuance of a token that acts for the
// delegator at the root of the chain; the token may be signed and handed out
// once it has returned. It never waits for a read model.
//
// Admit is asked once, when all else is well, whether the organization may
// have one more token; its error is passed on.
func (l *Ledger) ExchangeDelegation(
	ctx context.Context, origin Origin, id domain.DelegationID, command domain.ExchangeDelegation,
	admit func(domain.OrganizationID) error,
) (Exchanged, error) {
	links, err := l.lineage(ctx, id)
	if err != nil {
		return Exchanged{}, err
	}
	exchanged := Exchanged{Organization: links[0].OrganizationID, Actors: actorsOf(links)}
	root := links[len(links)-1]
	if command.Subject, err = l.agents.look(ctx, domain.AgentStream(root.DelegatorID)); err != nil {
		return Exchanged{}, err
	}
	admitted := false
	outcome, err := l.delegations.execute(ctx, domain.DelegationStream(id), origin, organizationOfDelegation,
		func(d domain.Delegation) ([]domain.Event, error) {
			events, err := d.Decide(command)
			if err != nil || admitted {
				return events, err
			}
			if err := admit(d.OrganizationID); err != nil {
				return nil, err
			}
			admitted = true
			return events, nil
		})
	if err != nil {
		return Exchanged{}, err
	}
	exchanged.Issued, _ = outcome.Events[0].(domain.TokenIssued)
	exchanged.Position, exchanged.EventID = outcome.Positions[0], outcome.EventIDs[0]
	return exchanged, nil
}

// DelegationParties are who take part in a delegation: for whom a token that is
// got for it acts, as the ledger knows that agent now, and who acts then, see
// [Exchanged].
func (l *Ledger) DelegationParties(ctx context.Context, id domain.DelegationID) (subject domain.Agent, actors []domain.AgentID, err error) {
	links, err := l.lineage(ctx, id)
	if err != nil {
		return subject, nil, err
	}
	subject, err = l.agents.look(ctx, domain.AgentStream(links[len(links)-1].DelegatorID))
	return subject, actorsOf(links), err
}

func actorsOf(links []domain.Delegation) (actors []domain.AgentID) {
	for _, link := range links {
		actors = append(actors, link.DelegateeID)
	}
	return actors
}

// lineage is a delegation and those above it, up to the root. Who lent to whom
// never changes, so what this process remembers of a link will do.
func (l *Ledger) lineage(ctx context.Context, id domain.DelegationID) ([]domain.Delegation, error) {
	var links []domain.Delegation
	for range domain.MaxDelegationDepth + 1 {
		link, _, err := l.delegations.load(ctx, domain.DelegationStream(id))
		if err != nil {
			return nil, err
		}
		if !link.state.Exists() {
			return nil, domain.RefuseExchange()
		}
		links = append(links, link.state)
		if id = link.state.ParentID; id.IsZero() {
			return links, nil
		}
	}
	return nil, domain.RefuseExchange()
}
