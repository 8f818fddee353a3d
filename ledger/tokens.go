package ledger

import (
	"context"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

// Issued is the issuance of a token of an agent's own.
type Issued struct {
	Token    domain.TokenIssued
	Position Position // of that event
	EventID  uuid.UUID
	Agent    domain.Agent
	// Basis is up to where the organization is known to have been active. An
	// append conflict keeps the issuance apart from what ends the agent's tokens,
	// but not from a suspension of the organization, which is on a stream of its
	// own: one that comes after the basis ends the token, whichever of the two was
	// recorded first.
	Basis Position
}

// TokenOffer is a token that a client is issued if nothing changes. None of it
// is on record.
type TokenOffer struct {
	Organization domain.OrganizationID // whose token it is
	client       Client
	command      domain.IssueToken
}

// OfferToken decides whether the client would be issued a token, and records
// nothing. What it reads was read when the client authenticated, but for a refusal:
// that rests on what the ledger says now.
func (l *Ledger) OfferToken(ctx context.Context, client Client, command domain.IssueToken) (TokenOffer, error) {
	command.Proof = client.proof
	offer := TokenOffer{client.Agent.OrganizationID, client, command}
	_, err := l.agents.consider(ctx, domain.AgentStream(client.Agent.ID), func(a domain.Agent) error {
		_, refused := offer.decide(a)
		return refused
	})
	return offer, err
}

// decide is made on the state that the issuance is appended to.
func (o TokenOffer) decide(a domain.Agent) ([]domain.Event, error) {
	events, err := inEra(o.client.tenants, a).Decide(o.command)
	if err != nil {
		return nil, err
	}
	return events, standing(o.client.tenants, a.OrganizationID)
}

// IssueToken records a token's issuance; the token may be signed and handed
// out once it has returned. It never waits for a read model. The offer is decided
// again, on the state that the issuance is appended to: a revocation that was
// recorded first is a refusal, a [*domain.AuthError] where the client is not let
// in any more.
func (l *Ledger) IssueToken(ctx context.Context, origin Origin, offer TokenOffer) (Issued, error) {
	outcome, err := l.agents.execute(ctx, domain.AgentStream(offer.client.Agent.ID), origin, organizationOfAgent, offer.decide)
	if err != nil {
		return Issued{}, err
	}
	issued, _ := outcome.Events[0].(domain.TokenIssued)
	return Issued{
		Token: issued, Position: outcome.Positions[0], EventID: outcome.EventIDs[0], Agent: outcome.State,
		Basis: offer.client.tenants.Position(),
	}, nil
}

// RevokeToken ends one token (RFC 7009). Once it has returned, no node accepts it.
func (l *Ledger) RevokeToken(ctx context.Context, origin Origin, id domain.AgentID, command domain.RevokeToken) error {
	_, err := l.onAgent(ctx, origin, id, command)
	return err
}
