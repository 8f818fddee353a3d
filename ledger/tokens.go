package ledger

import (
	"context"

	"github.com/sentryagent/agentidp/domain"
)

// IssueToken records a token's issuance; the token may be signed and handed
// out once it has returned. It never waits for a read model. A failed
// authentication is a [*domain.AuthError].
func (l *Ledger) IssueToken(ctx context.Context, origin Origin, id domain.AgentID, command domain.IssueToken) (Outcome[domain.Agent], error) {
	if err := l.tenants.Sync(ctx); err != nil {
		return Outcome[domain.Agent]{}, err
	}
	return l.agents.execute(ctx, domain.AgentStream(id), origin, organizationOfAgent,
		func(a domain.Agent) ([]domain.Event, error) {
			events, err := a.Decide(command)
			if err == nil && !l.tenants.OrganizationActive(a.OrganizationID) {
				return nil, &domain.AuthError{Reason: domain.AuthOrganizationInactive}
			}
			return events, err
		})
}

// RevokeToken ends one token (RFC 7009). Once it has returned, no node accepts it.
func (l *Ledger) RevokeToken(ctx context.Context, origin Origin, id domain.AgentID, command domain.RevokeToken) error {
	_, err := l.onAgent(ctx, origin, id, command)
	return err
}
