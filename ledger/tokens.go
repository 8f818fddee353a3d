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

// IssueToken records a token's issuance; the token may be signed and handed
// out once it has returned. It never waits for a read model. A failed
// authentication is a [*domain.AuthError].
//
// Admit is asked once, when the client has authenticated, whether its
// organization may have one more token; its error is passed on.
func (l *Ledger) IssueToken(
	ctx context.Context, origin Origin, id domain.AgentID, command domain.IssueToken,
	admit func(domain.OrganizationID) error,
) (Issued, error) {
	tenants, err := l.tenants.Sync(ctx)
	if err != nil {
		return Issued{}, err
	}
	admitted := false
	outcome, err := l.agents.execute(ctx, domain.AgentStream(id), origin, organizationOfAgent,
		func(a domain.Agent) ([]domain.Event, error) {
			events, err := a.Decide(command)
			if err != nil {
				return nil, err
			}
			if !tenants.OrganizationActive(a.OrganizationID) {
				return nil, &domain.AuthError{Reason: domain.AuthOrganizationInactive}
			}
			if !admitted {
				if err := admit(a.OrganizationID); err != nil {
					return nil, err
				}
				admitted = true
			}
			return events, nil
		})
	if err != nil {
		return Issued{}, err
	}
	issued, _ := outcome.Events[0].(domain.TokenIssued)
	return Issued{
		Token: issued, Position: outcome.Positions[0], EventID: outcome.EventIDs[0], Agent: outcome.State, Basis: tenants.Position(),
	}, nil
}

// RevokeToken ends one token (RFC 7009). Once it has returned, no node accepts it.
func (l *Ledger) RevokeToken(ctx context.Context, origin Origin, id domain.AgentID, command domain.RevokeToken) error {
	_, err := l.onAgent(ctx, origin, id, command)
	return err
}
