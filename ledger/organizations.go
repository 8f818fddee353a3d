package ledger

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

// CreateOrganization founds a tenant: its slug is claimed, then it is created.
// Repeating the command with the same OrganizationID completes it.
func (l *Ledger) CreateOrganization(ctx context.Context, origin Origin, command domain.CreateOrganization) (Outcome[domain.Organization], error) {
	if err := command.Validate(); err != nil {
		return Outcome[domain.Organization]{}, err
	}
	_, err := l.claim(ctx, origin, domain.ClaimStream(domain.ClaimSlug, command.Slug),
		domain.MakeClaim{Kind: domain.ClaimSlug, Owner: command.OrganizationID.UUID, OrganizationID: command.OrganizationID},
		func(ctx context.Context, id uuid.UUID) (claimant, error) {
			return l.Organization(ctx, domain.OrganizationID{UUID: id})
		},
		func(ctx context.Context, dead domain.Claim) error {
			_, err := l.onOrganization(ctx, System(), dead.OrganizationID, domain.AbandonCreation{OrganizationID: dead.OrganizationID})
			return err
		})
	if err != nil {
		return Outcome[domain.Organization]{}, err
	}
	return l.changeOrganization(ctx, origin, command.OrganizationID, command)
}

// UpdateOrganization changes an organization, its tier and status included.
func (l *Ledger) UpdateOrganization(ctx context.Context, origin Origin, id domain.OrganizationID, command domain.UpdateOrganization) (_ Outcome[domain.Organization], err error) {
	if command.Caller, err = l.within(ctx, command.Caller, id); err != nil {
		return Outcome[domain.Organization]{}, err
	}
	return l.changeOrganization(ctx, origin, id, command)
}

// ChangeTier moves an organization to another tier. Once it has returned, every
// node decides by the new limits.
func (l *Ledger) ChangeTier(ctx context.Context, origin Origin, id domain.OrganizationID, command domain.ChangeTier) (Outcome[domain.Organization], error) {
	if err := command.Caller.MayActIn(id); err != nil {
		return Outcome[domain.Organization]{}, err
	}
	return l.changeOrganization(ctx, origin, id, command)
}

// DeleteOrganization ends an organization that has no agents left. Its seats
// are closed first, so that none can come in between.
func (l *Ledger) DeleteOrganization(ctx context.Context, origin Origin, id domain.OrganizationID, command domain.DeleteOrganization) (Outcome[domain.Organization], error) {
	var none Outcome[domain.Organization]
	if err := command.Caller.MayActIn(id); err != nil {
		return none, err
	}
	organization, err := l.Organization(ctx, id)
	if err != nil {
		return none, err
	}
	if _, err := organization.Decide(command); err != nil {
		return none, err
	}
	if err := l.closeSeats(ctx, origin, id); err != nil {
		return none, err
	}
	return l.changeOrganization(ctx, origin, id, command)
}

// ReadOrganization reads an organization for a caller who may.
func (l *Ledger) ReadOrganization(ctx context.Context, caller domain.Caller, id domain.OrganizationID) (domain.Organization, error) {
	caller, err := l.within(ctx, caller, id)
	if err != nil {
		return domain.Organization{}, err
	}
	organization, err := l.Organization(ctx, id)
	if err != nil {
		return domain.Organization{}, err
	}
	return organization, organization.AuthorizeRead(caller)
}

// within is a caller who may name the organization, with what the ledger knows
// of its agent; of the operator that does not count.
func (l *Ledger) within(ctx context.Context, caller domain.Caller, id domain.OrganizationID) (domain.Caller, error) {
	if err := caller.MayActIn(id); err != nil || caller.IsOperator() {
		return caller, err
	}
	return l.Known(ctx, caller)
}

func (l *Ledger) closeSeats(ctx context.Context, origin Origin, id domain.OrganizationID) error {
	command := domain.CloseSeats{OrganizationID: id}
	err := l.onSeats(ctx, origin, id, command)
	if !errors.Is(err, &domain.Error{Code: domain.CodeHasActiveAgents}) {
		return err
	}
	if released, sweepErr := l.sweepSeats(ctx, id); sweepErr != nil || !released {
		return errors.Join(sweepErr, err)
	}
	return l.onSeats(ctx, origin, id, command)
}

func (l *Ledger) changeOrganization(ctx context.Context, origin Origin, id domain.OrganizationID, command domain.OrganizationCommand) (Outcome[domain.Organization], error) {
	outcome, err := l.onOrganization(ctx, origin, id, command)
	if err != nil {
		return outcome, err
	}
	return settle(ctx, l, outcome)
}

func (l *Ledger) onOrganization(ctx context.Context, origin Origin, id domain.OrganizationID, command domain.OrganizationCommand) (Outcome[domain.Organization], error) {
	return l.organizations.execute(ctx, domain.OrganizationStream(id), origin,
		func(domain.Organization) domain.OrganizationID { return id },
		func(o domain.Organization) ([]domain.Event, error) { return o.Decide(command) })
}
