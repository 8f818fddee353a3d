package ledger

import (
	"context"
	"errors"

	"github.com/sentryagent/agentidp/domain"
)

// UpdateAgent changes an agent; a change of status is part of it.
func (l *Ledger) UpdateAgent(ctx context.Context, origin Origin, id domain.AgentID, command domain.UpdateAgent) (_ Outcome[domain.Agent], err error) {
	if command.Scopes == nil && command.Status == nil { // a matter of scopes alone
		err = l.reachAgent(ctx, command.Caller, id)
	} else {
		command.Caller, err = l.admitted(ctx, command.Caller, id)
	}
	if err != nil {
		return Outcome[domain.Agent]{}, err
	}
	if command.Status != nil && *command.Status == domain.AgentIsGone {
		return l.decommission(ctx, origin, id, command)
	}
	if command.Status != nil && *command.Status == domain.AgentIsSuspended {
		return l.suspend(ctx, origin, id, command)
	}
	return l.changeAgent(ctx, origin, id, command)
}

// DecommissionAgent ends an agent for good and gives its seat back.
func (l *Ledger) DecommissionAgent(ctx context.Context, origin Origin, id domain.AgentID, command domain.DecommissionAgent) (_ Outcome[domain.Agent], err error) {
	if command.Caller, err = l.admitted(ctx, command.Caller, id); err != nil {
		return Outcome[domain.Agent]{}, err
	}
	return l.decommission(ctx, origin, id, command)
}

// decommission takes the agent's role in its organization away first, since
// only the organization's stream can tell whether it is the last admin: of two
// admins that end each other at the same time, one stays. What comes between the
// two steps leaves an agent without a role, and the command can be sent again.
// The other way round it would leave an organization without an admin.
func (l *Ledger) decommission(ctx context.Context, origin Origin, id domain.AgentID, command domain.AgentCommand) (Outcome[domain.Agent], error) {
	return l.inTwoSteps(ctx, origin, id, command, func(agent domain.Agent) ([]step, error) {
		retired, err := l.retireMember(ctx, origin, agent)
		return []step{retired}, err
	})
}

// suspend says so on the organization's stream first, where the agent has a role:
// of two admins that suspend each other at the same time, one stays.
func (l *Ledger) suspend(ctx context.Context, origin Origin, id domain.AgentID, command domain.UpdateAgent) (Outcome[domain.Agent], error) {
	return l.inTwoSteps(ctx, origin, id, command, func(agent domain.Agent) ([]step, error) {
		if agent.Status != domain.AgentActive {
			return nil, nil // nothing to do, unless it is reactivated meanwhile
		}
		return nil, l.suspendMember(ctx, origin, command.Caller, agent)
	})
}

// inTwoSteps ends what an agent can do, after a first step on its organization's
// stream. The agent is then as it was when that step was decided, or both begin
// again: a reactivation in between would leave a suspended agent that counts as
// one that can act, and so would a role that it got after the first step had
// found none.
func (l *Ledger) inTwoSteps(
	ctx context.Context, origin Origin, id domain.AgentID, command domain.AgentCommand, first func(domain.Agent) ([]step, error),
) (none Outcome[domain.Agent], err error) {
	for range twoStepTries {
		agent, err := l.Agent(ctx, id)
		if err != nil {
			return none, err
		}
		if _, err := agent.Decide(command); err != nil {
			return none, err
		}
		before, err := first(agent)
		if err != nil {
			return none, err
		}
		outcome, err := l.changeAgent(ctx, origin, id, domain.AsItWas{Was: agent, Command: command}, before...)
		if !errors.Is(err, &domain.Error{Code: domain.CodePreconditionFailed}) {
			return outcome, err
		}
	}
	return none, domain.Refuse(domain.CodeConflict, "the agent is being changed by others all the time; send it again")
}

const twoStepTries = 5

func (l *Ledger) changeAgent(ctx context.Context, origin Origin, id domain.AgentID, command domain.AgentCommand, before ...step) (Outcome[domain.Agent], error) {
	outcome, err := l.onAgent(ctx, origin, id, command)
	if err != nil {
		return outcome, err
	}
	if outcome.State.Status == domain.AgentIsGone && len(outcome.Events) > 0 {
		// The agent is gone whatever happens here: a seat that is not given
		// back now is found when the organization is full.
		if err := l.releaseSeat(ctx, origin, outcome.State.OrganizationID, id); err != nil {
			l.logger.WarnContext(ctx, "seat not given back; the next sweep will", "agent", id, "error", err)
		}
	}
	return settle(ctx, l, outcome, before...)
}
