package ledger

import (
	"context"

	"github.com/sentryagent/agentidp/domain"
)

// GenerateCredential gives an agent a new credential.
func (l *Ledger) GenerateCredential(ctx context.Context, origin Origin, id domain.AgentID, command domain.GenerateCredential) (_ Outcome[domain.Agent], err error) {
	if command.Caller, err = l.admitted(ctx, command.Caller, id); err != nil {
		return Outcome[domain.Agent]{}, err
	}
	return l.changeCredentials(ctx, origin, id, command)
}

// RotateCredential replaces a credential's secret or key. Once it has
// returned, no node issues a token on the old one or accepts a token issued
// under it.
func (l *Ledger) RotateCredential(ctx context.Context, origin Origin, id domain.AgentID, command domain.RotateCredential) (_ Outcome[domain.Agent], err error) {
	if command.Caller, err = l.admitted(ctx, command.Caller, id); err != nil {
		return Outcome[domain.Agent]{}, err
	}
	return l.changeCredentials(ctx, origin, id, command)
}

// RevokeCredential ends a credential, with the same promise.
func (l *Ledger) RevokeCredential(ctx context.Context, origin Origin, id domain.AgentID, command domain.RevokeCredential) (_ Outcome[domain.Agent], err error) {
	if command.Caller, err = l.admitted(ctx, command.Caller, id); err != nil {
		return Outcome[domain.Agent]{}, err
	}
	return l.changeCredentials(ctx, origin, id, command)
}

// ExpireCredentials puts on record which of an agent's credentials have
// expired, each of them once.
func (l *Ledger) ExpireCredentials(ctx context.Context, origin Origin, id domain.AgentID, command domain.ExpireCredentials) (Outcome[domain.Agent], error) {
	return l.changeCredentials(ctx, origin, id, command)
}

// changeCredentials runs a command that is about credentials in the era of the
// agent's organization: it counts none that the organization has ended. Whose the
// agent is never changes, so what this process remembers of it will do.
func (l *Ledger) changeCredentials(ctx context.Context, origin Origin, id domain.AgentID, command domain.AgentCommand) (Outcome[domain.Agent], error) {
	known, _, err := l.agents.load(ctx, domain.AgentStream(id))
	if err != nil {
		return Outcome[domain.Agent]{}, err
	}
	if known.state.Exists() {
		organization, err := l.organizations.look(ctx, domain.OrganizationStream(known.state.OrganizationID))
		if err != nil {
			return Outcome[domain.Agent]{}, err
		}
		command = domain.InEra{Era: organization.Era, Command: command}
	}
	return l.changeAgent(ctx, origin, id, command)
}

// admitted is a caller whose command to an agent may be decided, with its
// standing.
func (l *Ledger) admitted(ctx context.Context, caller domain.Caller, id domain.AgentID) (domain.Caller, error) {
	if err := l.reachAgent(ctx, caller, id); err != nil {
		return caller, err
	}
	return l.ranked(ctx, caller)
}
