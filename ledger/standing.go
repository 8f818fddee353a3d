package ledger

import (
	"context"
	"fmt"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// A caller's standing is on other streams than the aggregate that a command is
// decided on: the caller's own agent, and the organization with its members. It is
// read before the decision and not looked at again. So a command counts as sent
// before whatever changed the standing after that read: both were under way at
// the same time. Where the order matters, as for the last admin of an
// organization, the rule is one about the organization's stream and is decided
// there.

// ranked adds what tells whether a caller is an admin of its organization, and
// who else is. Operators are judged by their scopes alone.
func (l *Ledger) ranked(ctx context.Context, caller domain.Caller) (_ domain.Caller, err error) {
	if caller.IsOperator() {
		return caller, nil
	}
	if caller.Standing.Organization, err = l.Organization(ctx, caller.OrganizationID); err != nil {
		return caller, err
	}
	if !caller.Standing.Organization.IsAdmin(caller.AgentID) {
		return caller, nil
	}
	return l.Known(ctx, caller)
}

// Known adds to a caller what the ledger knows of its agent now, which is what
// tells whether its token stands for all of it.
func (l *Ledger) Known(ctx context.Context, caller domain.Caller) (_ domain.Caller, err error) {
	if caller.IsDelegated() {
		return caller, nil // it stands for nobody
	}
	caller.Standing.Agent, err = l.Agent(ctx, caller.AgentID)
	return caller, err
}

// reach refuses a caller who is no operator what is not in its organization,
// before anything of it is read: what the answer costs tells no more than the
// answer.
func (r *repository[S]) reach(
	ctx context.Context, caller domain.Caller, stream, what string, missing domain.Code, owner tenancy[S],
) error {
	if caller.IsOperator() {
		return nil
	}
	if known, cached := r.cache.get(stream); cached && owner(known.state) == caller.OrganizationID {
		return nil
	}
	organization, found, err := eventstore.Owner(ctx, r.store, stream)
	if err != nil {
		return fmt.Errorf("read whose %s is: %w", stream, err)
	}
	return caller.MayReach(found, domain.OrganizationID{UUID: organization}, what, missing)
}

func (l *Ledger) reachAgent(ctx context.Context, caller domain.Caller, id domain.AgentID) error {
	return l.agents.reach(ctx, caller, domain.AgentStream(id), "agent", domain.CodeAgentNotFound, organizationOfAgent)
}

func (l *Ledger) reachDelegation(ctx context.Context, caller domain.Caller, id domain.DelegationID) error {
	return l.delegations.reach(ctx, caller, domain.DelegationStream(id), "delegation", domain.CodeDelegationNotFound, organizationOfDelegation)
}
