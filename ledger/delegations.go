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
// as the ledger is when it is called. It is called once the delegation is on
// record: a rotation or revocation of the token's credential that is recorded
// later ends the delegation, and one recorded earlier is seen here. So none that
// has outlived its credential is ever handed out.
func (l *Ledger) CreateDelegation(
	ctx context.Context, origin Origin, command domain.CreateDelegation, alive func(context.Context) (bool, error),
) (_ Outcome[domain.Delegation], err error) {
	var none Outcome[domain.Delegation]
	if err := command.Validate(); err != nil {
		return none, err
	}
	if command.Delegator, err = l.Agent(ctx, command.Caller.AgentID); err != nil {
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
	good, err := alive(ctx)
	if err != nil {
		return none, err
	}
	if !good {
		end := domain.RevokeDelegation{Caller: command.Caller, Reason: "the token it was made with had ended"}
		bySystem := Origin{Actor: System().Actor, Request: origin.Request}
		if _, err := l.onDelegation(ctx, bySystem, command.DelegationID, end); err != nil {
			return none, err
		}
		return none, domain.Refuse(domain.CodeUnauthorized, "the token that you lend with has ended meanwhile; get a new one and try again")
	}
	return settle(ctx, l, outcome)
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
