package ledger

import (
	"context"

	"github.com/sentryagent/agentidp/domain"
)

// UpdateAgent changes an agent; a change of status is part of it.
func (l *Ledger) UpdateAgent(ctx context.Context, origin Origin, id domain.AgentID, command domain.UpdateAgent) (Outcome[domain.Agent], error) {
	return l.changeAgent(ctx, origin, id, command)
}

// DecommissionAgent ends an agent for good and gives its seat back.
func (l *Ledger) DecommissionAgent(ctx context.Context, origin Origin, id domain.AgentID, command domain.DecommissionAgent) (Outcome[domain.Agent], error) {
	return l.changeAgent(ctx, origin, id, command)
}

func (l *Ledger) changeAgent(ctx context.Context, origin Origin, id domain.AgentID, command domain.AgentCommand) (Outcome[domain.Agent], error) {
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
	return settle(ctx, l, outcome)
}
