package ledger

import (
	"context"

	"github.com/sentryagent/agentidp/domain"
)

// RevokeAgentsAccess ends all tokens of an agent and what it has lent and been
// lent, and where the command says so its credentials. Once it has returned, no
// node accepts any of that.
func (l *Ledger) RevokeAgentsAccess(ctx context.Context, origin Origin, id domain.AgentID, command domain.RevokeAgentsAccess) (_ Outcome[domain.Agent], err error) {
	if command.Caller, err = l.admitted(ctx, command.Caller, id); err != nil {
		return Outcome[domain.Agent]{}, err
	}
	if command.Caller.AgentID == id {
		if command.Caller, err = l.Known(ctx, command.Caller); err != nil {
			return Outcome[domain.Agent]{}, err
		}
	}
	return l.changeAgent(ctx, origin, id, command)
}

// RevokeOrganizationsAccess does the same to all agents of an organization, with
// the same promise. It is one event, on the organization's stream alone: tokens
// and delegations end in the index of revocations, and credentials by the era that
// begins, which whoever decides by a credential looks up.
func (l *Ledger) RevokeOrganizationsAccess(
	ctx context.Context, origin Origin, id domain.OrganizationID, command domain.RevokeOrganizationsAccess,
) (_ Outcome[domain.Organization], err error) {
	if command.Caller, err = l.within(ctx, command.Caller, id); err != nil {
		return Outcome[domain.Organization]{}, err
	}
	return l.changeOrganization(ctx, origin, id, command)
}
