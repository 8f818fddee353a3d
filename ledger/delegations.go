package ledger

import (
	"context"

	"github.com/sentryagent/agentidp/domain"
)

// Delegation reads a delegation as the ledger knows it now.
func (l *Ledger) Delegation(ctx context.Context, id domain.DelegationID) (domain.Delegation, error) {
	delegation, err := l.delegations.read(ctx, domain.DelegationStream(id))
	return delegation.state, err
}

// CreateDelegation lends authority to another agent. Both agents, and the
// delegation that the caller acts under if it acts under one, are looked at as
// they are now. Repeating the command with the same DelegationID is harmless.
//
// Alive says whether the token that the delegation is made with is still good,
// as the ledger is when it is called. It is called once the delegator is known,
// so what the delegation is made with ended after that or not at all. An end of
// the token's credential that is recorded from then on ends the delegation,
// also where it comes before the delegation in the ledger: the delegation's first
// event says up to where the delegator was known.
//
// It is called again once the delegation is on record, so that none is handed out
// whose token was revoked by itself meanwhile.
func (l *Ledger) CreateDelegation(
	ctx context.Context, origin Origin, command domain.CreateDelegation, alive func(context.Context) (bool, error),
) (_ Outcome[domain.Delegation], err error) {
	var none Outcome[domain.Delegation]
	if err := command.Validate(); err != nil {
		return none, err
	}
	delegator, err := l.agents.read(ctx, domain.AgentStream(command.Caller.AgentID))
	if err != nil {
		return none, err
	}
	command.Delegator, command.Revision = delegator.state, delegator.revision
	if err := l.mustBeAlive(ctx, origin, command, alive); err != nil {
		return none, err
	}
	if command.Delegatee, err = l.Agent(ctx, command.DelegateeID); err != nil {
		return none, err
	}
	if command.Caller.IsDelegated() {
		if command.Parent, err = l.Delegation(ctx, command.Caller.Delegation); err != nil {
			return none, err
		}
	}
	outcome, err := l.onDelegation(ctx, origin, command.DelegationID, command)
	if err != nil {
		return none, err
	}
	if err := l.mustBeAlive(ctx, origin, command, alive); err != nil {
		return none, err
	}
	return settle(ctx, l, outcome)
}

// mustBeAlive refuses to lend with a token that has ended, and ends what has been
// lent with it by this very command.
func (l *Ledger) mustBeAlive(ctx context.Context, origin Origin, command domain.CreateDelegation, alive func(context.Context) (bool, error)) error {
	good, err := alive(ctx)
	if err != nil || good {
		return err
	}
	made, err := l.Delegation(ctx, command.DelegationID)
	if err != nil {
		return err
	}
	if made.Exists() {
		end := domain.RevokeDelegation{Caller: command.Caller, Reason: "the token it was made with had ended"}
		bySystem := Origin{Actor: System().Actor, Request: origin.Request}
		if _, err := l.onDelegation(ctx, bySystem, command.DelegationID, end); err != nil {
			return err
		}
	}
	return domain.Refuse(domain.CodeUnauthorized, "the token that you lend with has ended meanwhile; get a new one and try again")
}

// RevokeDelegation ends a delegation. Once it has returned, no node exchanges
// it, or one below it, and no node accepts a token issued under any of them.
func (l *Ledger) RevokeDelegation(ctx context.Context, origin Origin, id domain.DelegationID, command domain.RevokeDelegation) (_ Outcome[domain.Delegation], err error) {
	var none Outcome[domain.Delegation]
	if err := l.reachDelegation(ctx, command.Caller, id); err != nil {
		return none, err
	}
	if command.Caller, err = l.ranked(ctx, command.Caller); err != nil {
		return none, err
	}
	outcome, err := l.onDelegation(ctx, origin, id, command)
	if err != nil {
		return none, err
	}
	return settle(ctx, l, outcome)
}

func (l *Ledger) onDelegation(ctx context.Context, origin Origin, id domain.DelegationID, command domain.DelegationCommand) (Outcome[domain.Delegation], error) {
	return l.delegations.execute(ctx, domain.DelegationStream(id), origin, organizationOfDelegation,
		func(d domain.Delegation) ([]domain.Event, error) { return d.Decide(command) })
}

func organizationOfDelegation(d domain.Delegation) domain.OrganizationID { return d.OrganizationID }
