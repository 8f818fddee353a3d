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
// AgentID completes or repeats the registration. What will be refused is found
// out before the first step, so that refusals do not make the ledger grow; only
// who loses a race for the last seat has written something.
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
	if err := l.mayRegister(ctx, command, organization.Limits().MaxAgents); err != nil {
		return none, err
	}
	keyIsKept, err := l.withDIDKey(ctx, &command)
	if err != nil {
		return none, err
	}
	if err := l.claimEmail(ctx, origin, command); err != nil {
		return none, err
	}
	if err := l.takeSeat(ctx, origin, organization.ID, command.AgentID, organization.Limits().MaxAgents); err != nil {
		return none, l.giveUp(ctx, command, err)
	}
	if err := keyIsKept(); err != nil {
		return none, err
	}
	outcome, err := l.onAgent(ctx, origin, command.AgentID, command)
	if err != nil {
		return none, l.giveUp(ctx, command, err)
	}
	return settle(ctx, l, outcome)
}

// mayRegister asks the agent, the address and the seats what they would say.
func (l *Ledger) mayRegister(ctx context.Context, command domain.RegisterAgent, limit int) error {
	agent, err := l.Agent(ctx, command.AgentID)
	if err != nil {
		return err
	}
	if _, err := agent.Decide(command); err != nil {
		return err
	}
	owner, err := l.EmailClaimedBy(ctx, command.OrganizationID, command.Email)
	if err != nil {
		return err
	}
	if !owner.IsZero() && owner != command.AgentID {
		rival, err := l.Agent(ctx, owner)
		if err != nil {
			return err
		}
		if rival.Exists() {
			return domain.ClaimEmail.Taken()
		}
	}
	return l.mayTakeSeat(ctx, command.OrganizationID, command.AgentID, limit)
}

// claimEmail claims the address in the organization. A claim from the time when
// addresses were unique over all organizations holds in its own as it stands.
func (l *Ledger) claimEmail(ctx context.Context, origin Origin, command domain.RegisterAgent) error {
	claim := domain.MakeClaim{Kind: domain.ClaimEmail, Owner: command.AgentID.UUID, OrganizationID: command.OrganizationID}
	former, err := l.formerEmailClaim(ctx, command.OrganizationID, command.Email)
	if err != nil {
		return err
	}
	if former.Owner != uuid.Nil && former.Owner != claim.Owner {
		if err := l.mustBeDead(ctx, claim, former); err != nil {
			return err
		}
	}
	takenFrom, err := l.claim(ctx, origin, domain.EmailClaimStream(command.OrganizationID, command.Email), claim,
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

// mustBeDead refuses a claim while the agent that made another to the same value
// lives or may come to life yet. One that a crash left behind long ago is given
// up for good.
func (l *Ledger) mustBeDead(ctx context.Context, claim domain.MakeClaim, former domain.Claim) error {
	owner := domain.AgentID{UUID: former.Owner}
	rival, err := l.Agent(ctx, owner)
	if err != nil || rival.Abandoned() {
		return err
	}
	if rival.Exists() || l.now().Sub(former.Since) < l.grace {
		_, err := former.Decide(claim)
		return err
	}
	if err := l.abandonRegistration(ctx, former.OrganizationID, owner); err != nil {
		return err
	}
	return l.releaseSeat(ctx, System(), former.OrganizationID, owner)
}

// giveUp leaves nothing behind of a registration that was refused half way, so
// that the next one with this e-mail address need not wait. What fails here is
// made up for later, by whoever finds it.
func (l *Ledger) giveUp(ctx context.Context, command domain.RegisterAgent, cause error) error {
	if _, ok := errors.AsType[*domain.Error](cause); !ok {
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
