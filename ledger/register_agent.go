package ledger

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

// RegisterAgent brings an agent to life in three steps, each on a stream of
// its own: its e-mail address is claimed, a seat in the organization is taken,
// the agent is created. A crash between the steps blocks nothing: see
// [Ledger.claim] and [Ledger.takeSeat]. Repeating the command with the same
// AgentID completes or repeats the registration.
func (l *Ledger) RegisterAgent(ctx context.Context, origin Origin, command domain.RegisterAgent) (Outcome[domain.Agent], error) {
	var none Outcome[domain.Agent]
	if err := command.Validate(); err != nil {
		return none, err
	}
	organization, err := l.Organization(ctx, command.OrganizationID)
	if err != nil {
		return none, err
	}
	if err := organization.MustBeActive(); err != nil {
		return none, err
	}
	if err := l.claimEmail(ctx, origin, command); err != nil {
		return none, err
	}
	if err := l.takeSeat(ctx, origin, organization.ID, command.AgentID, organization.Limits().MaxAgents); err != nil {
		return none, l.giveUp(ctx, command, err)
	}
	outcome, err := l.onAgent(ctx, origin, command.AgentID, command)
	if err != nil {
		return none, l.giveUp(ctx, command, err)
	}
	return settle(ctx, l, outcome)
}

func (l *Ledger) claimEmail(ctx context.Context, origin Origin, command domain.RegisterAgent) error {
	takenFrom, err := l.claim(ctx, origin, command.Email,
		domain.MakeClaim{Kind: domain.ClaimEmail, Owner: command.AgentID.UUID, OrganizationID: command.OrganizationID},
		func(ctx context.Context, id uuid.UUID) (claimant, error) {
			return l.Agent(ctx, domain.AgentID{UUID: id})
		},
		func(ctx context.Context, dead domain.Claim) error {
			return l.abandonRegistration(ctx, dead.OrganizationID, domain.AgentID{UUID: dead.Owner})
		})
	if err != nil || takenFrom.Owner == uuid.Nil {
		return err
	}
	return l.releaseSeat(ctx, System(), takenFrom.OrganizationID, domain.AgentID{UUID: takenFrom.Owner})
}

// giveUp leaves nothing behind of a registration that was refused half way, so
// that the next one with this e-mail address need not wait. What fails here is
// made up for later, by whoever finds it.
func (l *Ledger) giveUp(ctx context.Context, command domain.RegisterAgent, cause error) error {
	var refusal *domain.Error
	if !errors.As(cause, &refusal) {
		return cause
	}
	if err := l.abandonRegistration(ctx, command.OrganizationID, command.AgentID); err != nil {
		return cause
	}
	if err := l.releaseSeat(ctx, System(), command.OrganizationID, command.AgentID); err != nil {
		l.logger.WarnContext(ctx, "seat not given back; the next sweep will", "agent", command.AgentID, "error", err)
	}
	return cause
}

// onAgent runs a command on an agent.
func (l *Ledger) onAgent(ctx context.Context, origin Origin, id domain.AgentID, command domain.AgentCommand) (Outcome[domain.Agent], error) {
	return l.agents.execute(ctx, domain.AgentStream(id), origin, organizationOfAgent,
		func(a domain.Agent) ([]domain.Event, error) { return a.Decide(command) })
}

func organizationOfAgent(a domain.Agent) domain.OrganizationID { return a.OrganizationID }
