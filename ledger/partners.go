package ledger

import (
	"context"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
)

// Partner reads a federation partner as the ledger knows it now.
func (l *Ledger) Partner(ctx context.Context, id domain.PartnerID) (domain.Partner, error) {
	partner, err := l.partners.read(ctx, domain.PartnerStream(id))
	return partner.state, err
}

// ReadPartner reads a federation partner for a caller who may.
func (l *Ledger) ReadPartner(ctx context.Context, caller domain.Caller, id domain.PartnerID) (domain.Partner, error) {
	partner, err := l.Partner(ctx, id)
	if err != nil {
		return domain.Partner{}, err
	}
	return partner, partner.AuthorizeRead(caller)
}

// RegisterPartner has the tokens of another issuer verified: the issuer is claimed,
// then the partner is registered. Repeating the command with the same PartnerID
// completes it. The issuer of a partner that was deleted is free.
func (l *Ledger) RegisterPartner(ctx context.Context, origin Origin, command domain.RegisterPartner) (Outcome[domain.Partner], error) {
	if err := command.Validate(); err != nil {
		return Outcome[domain.Partner]{}, err
	}
	_, err := l.claim(ctx, origin, domain.IssuerClaimStream(command.Issuer),
		domain.MakeClaim{Kind: domain.ClaimIssuer, Owner: command.PartnerID.UUID, OrganizationID: command.Caller.OrganizationID},
		func(ctx context.Context, id uuid.UUID) (claimant, error) {
			return l.Partner(ctx, domain.PartnerID{UUID: id})
		},
		func(ctx context.Context, dead domain.Claim) error {
			id := domain.PartnerID{UUID: dead.Owner}
			_, err := l.partners.execute(ctx, domain.PartnerStream(id), System(),
				func(domain.Partner) domain.OrganizationID { return dead.OrganizationID },
				func(p domain.Partner) ([]domain.Event, error) { return p.Decide(domain.AbandonPartner{PartnerID: id}) })
			return err
		})
	if err != nil {
		return Outcome[domain.Partner]{}, err
	}
	return l.ChangePartner(ctx, origin, command.PartnerID, command)
}

// ChangePartner runs a command on a federation partner. Once it has returned, no node
// verifies a token by what the partner was before.
func (l *Ledger) ChangePartner(ctx context.Context, origin Origin, id domain.PartnerID, command domain.PartnerCommand) (Outcome[domain.Partner], error) {
	outcome, err := l.partners.execute(ctx, domain.PartnerStream(id), origin,
		func(p domain.Partner) domain.OrganizationID { return p.OrganizationID },
		func(p domain.Partner) ([]domain.Event, error) { return p.Decide(command) })
	if err != nil {
		return outcome, err
	}
	return settle(ctx, l, outcome)
}
