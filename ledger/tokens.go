package ledger

import (
	"context"

	"github.com/sentryagent/agentidp/domain"
)

// IssueToken records a token's issuance; the token may be signed and handed
// out once it has returned. It never waits for a read model. A failed
// authentication is a [*domain.AuthError].
//
// Admit is asked once, when the client has authenticated, whether its
// organization may have one more token; its error is passed on.
func (l *Ledger) IssueToken(
	ctx context.Context, origin Origin, id domain.AgentID, command domain.IssueToken,
	admit func(domain.OrganizationID) error,
) (Outcome[domain.Agent], error) {
	if err := l.tenants.Sync(ctx); err != nil {
		return Outcome[domain.Agent]{}, err
	}
	admitted := false
	return l.agents.execute(ctx, domain.AgentStream(id), origin, organizationOfAgent,
		func(a domain.Agent) ([]domain.Event, error) {
			events, err := a.Decide(command)
			if err != nil {
				return nil, err
			}
			if !l.tenants.OrganizationActive(a.OrganizationID) {
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
}

// RevokeToken ends one token (RFC 7009). Once it has returned, no node accepts it.
func (l *Ledger) RevokeToken(ctx context.Context, origin Origin, id domain.AgentID, command domain.RevokeToken) error {
	_, err := l.onAgent(ctx, origin, id, command)
	return err
}
