package ledger

import (
	"context"
	"errors"

	"github.com/sentryagent/agentidp/domain"
)

// AddMember gives an agent of the organization a role in it.
func (l *Ledger) AddMember(ctx context.Context, origin Origin, id domain.OrganizationID, command domain.AddMember) (Outcome[domain.Organization], error) {
	var none Outcome[domain.Organization]
	if err := command.Validate(); err != nil {
		return none, err
	}
	agent, err := l.Agent(ctx, command.AgentID)
	if err != nil {
		return none, err
	}
	organization, err := l.Organization(ctx, id)
	switch {
	case err != nil:
		return none, err
	case !organization.Exists():
		return none, domain.Refuse(domain.CodeOrganizationNotFound, "there is no such organization")
	case !agent.Exists():
		return none, domain.Refuse(domain.CodeAgentNotFound, "there is no such agent").With("field", "agentId")
	case agent.OrganizationID != id:
		return none, domain.Refuse(domain.CodeCrossTenant, "the agent belongs to another organization").With("field", "agentId")
	case agent.Status == domain.AgentIsGone:
		return none, domain.Refuse(domain.CodeAgentDecommissioned, "the agent is decommissioned; that is final").With("field", "agentId")
	}
	return l.changeOrganization(ctx, origin, id, command)
}

// ChangeMemberRole gives a member another role.
func (l *Ledger) ChangeMemberRole(ctx context.Context, origin Origin, id domain.OrganizationID, command domain.ChangeMemberRole) (_ Outcome[domain.Organization], err error) {
	if command.Caller, err = l.within(ctx, command.Caller, id); err != nil {
		return Outcome[domain.Organization]{}, err
	}
	return l.changeMember(ctx, origin, id, command.AgentID, func(agents agentsByID) domain.OrganizationCommand {
		command.Agents = agents
		return command
	})
}

// RemoveMember takes the role of a member away.
func (l *Ledger) RemoveMember(ctx context.Context, origin Origin, id domain.OrganizationID, command domain.RemoveMember) (_ Outcome[domain.Organization], err error) {
	if command.Caller, err = l.within(ctx, command.Caller, id); err != nil {
		return Outcome[domain.Organization]{}, err
	}
	return l.changeMember(ctx, origin, id, command.AgentID, func(agents agentsByID) domain.OrganizationCommand {
		command.Agents = agents
		return command
	})
}

func (l *Ledger) changeMember(
	ctx context.Context, origin Origin, id domain.OrganizationID, member domain.AgentID, command func(agentsByID) domain.OrganizationCommand,
) (Outcome[domain.Organization], error) {
	outcome, err := l.amongAdmins(ctx, origin, id, member, command)
	if err != nil {
		return outcome, err
	}
	return settle(ctx, l, outcome)
}

type agentsByID = map[domain.AgentID]domain.Agent

// amongAdmins runs a command on an organization that may take an admin away from
// it, and rests on how the others' agents stand. An admin that is decommissioned
// or suspended while this goes on is named on that stream first, so that the
// decision sees it. That holds for those who knew that it is an admin: where the
// command needs one that may have become it unseen, that one is confirmed first.
func (l *Ledger) amongAdmins(
	ctx context.Context, origin Origin, id domain.OrganizationID, member domain.AgentID, command func(agentsByID) domain.OrganizationCommand,
) (Outcome[domain.Organization], error) {
	for {
		organization, err := l.Organization(ctx, id)
		if err != nil {
			return Outcome[domain.Organization]{}, err
		}
		agents, err := l.rivals(ctx, organization, member)
		if err != nil {
			return Outcome[domain.Organization]{}, err
		}
		outcome, err := l.onOrganization(ctx, origin, id, command(agents))
		if !errors.Is(err, &domain.Error{Code: domain.CodeConflict}) {
			return outcome, err
		}
		unconfirmed, found := organization.ToConfirm(member, agents)
		if !found {
			return outcome, err
		}
		if _, err := l.onAgent(ctx, System(), unconfirmed.AgentID, unconfirmed); err != nil {
			return outcome, err
		}
	}
}

// rivals looks up the member asked about and, where that is an admin, the others.
func (l *Ledger) rivals(ctx context.Context, organization domain.Organization, member domain.AgentID) (agentsByID, error) {
	agents := make(agentsByID)
	for id := range organization.Members {
		rival := organization.IsAdmin(member) && organization.IsAdmin(id)
		if id != member && !rival {
			continue
		}
		agent, err := l.Agent(ctx, id)
		if err != nil {
			return nil, err
		}
		agents[id] = agent
	}
	return agents, nil
}

// retireMember takes the role away from an agent that is about to be
// decommissioned. Where it has none, it may be that the same command took it
// when it was sent before: that has to show as well.
func (l *Ledger) retireMember(ctx context.Context, origin Origin, agent domain.Agent) (step, error) {
	retired := step{types: []domain.Type{domain.MemberRemoved{}.EventType()}}
	known, err := l.organizations.read(ctx, domain.OrganizationStream(agent.OrganizationID))
	if err != nil {
		return retired, err
	}
	retired.position = known.position
	if _, is := known.state.Members[agent.ID]; !is {
		return retired, nil
	}
	outcome, err := l.amongAdmins(ctx, origin, agent.OrganizationID, agent.ID, func(agents agentsByID) domain.OrganizationCommand {
		return domain.RetireMember{AgentID: agent.ID, Agents: agents}
	})
	retired.position = outcome.Position
	return retired, err
}

// suspendMember says on the organization's stream that an agent which has a role
// is about to be suspended.
func (l *Ledger) suspendMember(ctx context.Context, origin Origin, caller domain.Caller, agent domain.Agent) error {
	organization, err := l.Organization(ctx, agent.OrganizationID)
	if err != nil {
		return err
	}
	if _, member := organization.Members[agent.ID]; !member {
		return nil
	}
	_, err = l.amongAdmins(ctx, origin, agent.OrganizationID, agent.ID, func(agents agentsByID) domain.OrganizationCommand {
		return domain.SuspendMember{Caller: caller, AgentID: agent.ID, Edition: agent.Edition, Agents: agents}
	})
	return err
}
