package ledger

import (
	"context"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger/revocation"
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

// ExchangeOffer is a token that acts under a delegation, issued if nothing
// changes. None of it is on record.
type ExchangeOffer struct {
	Organization domain.OrganizationID // whose token it is
	delegation   domain.DelegationID
	command      domain.ExchangeDelegation
	actors       []domain.AgentID
}

// OfferExchange decides whether the exchange would be made, and records nothing.
// The delegation must be alive in the view. The agent at the root of the chain is
// as the view has seen it, and the delegation is looked at as it is now where it
// refuses.
func (l *Ledger) OfferExchange(
	ctx context.Context, seen revocation.View, id domain.DelegationID, command domain.ExchangeDelegation,
) (ExchangeOffer, error) {
	links, err := l.lineage(ctx, id)
	if err != nil {
		return ExchangeOffer{}, err
	}
	offer := ExchangeOffer{links[0].OrganizationID, id, command, actorsOf(links)}
	if err := l.offerFor(ctx, seen, &offer, links); err != nil {
		return offer, err
	}
	_, err = l.delegations.consider(ctx, domain.DelegationStream(id), func(d domain.Delegation) error {
		_, refused := offer.decide(d)
		return refused
	})
	return offer, err
}

// offerFor finds the agent that an offered token acts for. What this process
// remembers of the agent will do if the view has seen nothing that took authority
// from it since: what is older than the root of the chain was heeded when that was
// lent. What gives authority is in no view, so the store is asked if what is
// remembered gives less than all that was lent.
func (l *Ledger) offerFor(ctx context.Context, seen revocation.View, offer *ExchangeOffer, links []domain.Delegation) error {
	lent, id := links[0], links[len(links)-1].DelegatorID
	known, _, err := l.agents.load(ctx, domain.AgentStream(id))
	if err != nil {
		return err
	}
	offer.command.Subject = known.state
	if seen.AgentUnchanged(id, known.position) && len(lent.Scopes.Beyond(known.state.Scopes)) == 0 {
		if _, refused := offer.decide(lent); refused == nil {
			return nil
		}
	}
	offer.command.Subject, err = l.agents.look(ctx, domain.AgentStream(id))
	return err
}

func (o ExchangeOffer) decide(d domain.Delegation) ([]domain.Event, error) {
	return d.Decide(o.command)
}

// ExchangeDelegation records the issuance of a token that acts for the
// delegator at the root of the chain; the token may be signed and handed out
// once it has returned. It never waits for a read model. The offer is decided again,
// on the state of the delegation that the issuance is appended to.
func (l *Ledger) ExchangeDelegation(ctx context.Context, origin Origin, offer ExchangeOffer) (Exchanged, error) {
	outcome, err := l.delegations.execute(ctx, domain.DelegationStream(offer.delegation), origin, organizationOfDelegation, offer.decide)
	if err != nil {
		return Exchanged{}, err
	}
	issued, _ := outcome.Events[0].(domain.TokenIssued)
	return Exchanged{
		Issued: issued, Position: outcome.Positions[0], EventID: outcome.EventIDs[0], Organization: offer.Organization, Actors: offer.actors,
	}, nil
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
