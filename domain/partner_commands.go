package domain

import (
	"slices"
	"time"
)

// RegisterPartner has this server verify the tokens of another issuer. That its
// keys can be had is for the caller of the command to have made sure of.
type RegisterPartner struct {
	Caller               Caller
	PartnerID            PartnerID
	Name                 string
	Issuer               string
	JWKSURI              string
	AllowedOrganizations []string
	ExpiresAt            *time.Time
	Ours                 []string // the names that this server goes by: its own issuer and addresses
	At                   time.Time
}

// Validate checks what can be checked without any state.
func (c RegisterPartner) Validate() error {
	if err := mustBeOperator(c.Caller); err != nil {
		return err
	}
	if err := validateLine("name", c.Name, 1, maxNameLength); err != nil {
		return err
	}
	if err := validatePartnerIssuer(c.Issuer, c.Ours); err != nil {
		return err
	}
	if err := validateHTTPS("jwksUri", c.JWKSURI); err != nil {
		return err
	}
	if err := validateAllowedOrganizations(c.AllowedOrganizations); err != nil {
		return err
	}
	return validateExpiry(c.ExpiresAt, c.At)
}

func (c RegisterPartner) decide(p Partner) ([]Event, error) {
	if err := mustBeOperator(c.Caller); err != nil {
		return nil, err
	}
	switch {
	case p.Exists() && p.Issuer == c.Issuer:
		return nil, nil // this very command, repeated after a crash
	case p.Exists():
		return nil, Refuse(CodeConflict, "this federation partner is registered already")
	case p.Abandoned():
		return nil, Refuse(CodeConflict, "the federation partner was deleted, or its registration took too long and was given up; send it again")
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return []Event{PartnerRegistered{
		PartnerID: c.PartnerID, OrganizationID: c.Caller.OrganizationID, Name: c.Name, Issuer: c.Issuer, JWKSURI: c.JWKSURI,
		AllowedOrganizations: append([]string{}, c.AllowedOrganizations...), ExpiresAt: storedExpiry(c.ExpiresAt),
	}}, nil
}

// UpdatePartner changes what may be changed of a partner. Nil fields stay.
type UpdatePartner struct {
	Caller               Caller
	Name                 *string
	JWKSURI              *string
	AllowedOrganizations *[]string
	Status               *PartnerStatus // active or suspended
	ExpiresAt            *Expiry
	At                   time.Time
}

func (c UpdatePartner) decide(p Partner) ([]Event, error) {
	if err := p.mayBeReadBy(c.Caller); err != nil {
		return nil, err
	}
	var events []Event
	updated, err := c.decideRecord(p)
	if err != nil {
		return nil, err
	}
	if updated != nil {
		events = append(events, updated)
		p = p.Evolve(updated, c.At)
	}
	status, err := c.decideStatus(p)
	if err != nil {
		return nil, err
	}
	if status != nil {
		events = append(events, status)
	}
	return events, nil
}

func (c UpdatePartner) decideRecord(p Partner) (Event, error) {
	updated := PartnerUpdated{PartnerID: p.ID}
	if c.Name != nil && *c.Name != p.Name {
		if err := validateLine("name", *c.Name, 1, maxNameLength); err != nil {
			return nil, err
		}
		updated.Name = c.Name
	}
	if c.JWKSURI != nil && *c.JWKSURI != p.JWKSURI {
		if err := validateHTTPS("jwksUri", *c.JWKSURI); err != nil {
			return nil, err
		}
		updated.JWKSURI = c.JWKSURI
	}
	if wanted := c.AllowedOrganizations; wanted != nil && !slices.Equal(*wanted, p.AllowedOrganizations) {
		if err := validateAllowedOrganizations(*wanted); err != nil {
			return nil, err
		}
		updated.AllowedOrganizations = new(append([]string{}, *wanted...))
	}
	if c.ExpiresAt != nil && !timeOf(c.ExpiresAt.Time).Equal(p.ExpiresAt) {
		if err := validateExpiry(c.ExpiresAt.Time, c.At); err != nil {
			return nil, err
		}
		updated.ExpiresAt = &Expiry{Time: storedExpiry(c.ExpiresAt.Time)}
	}
	if updated == (PartnerUpdated{PartnerID: p.ID}) {
		return nil, nil
	}
	return updated, nil
}

func (c UpdatePartner) decideStatus(p Partner) (Event, error) {
	if c.Status == nil {
		return nil, nil
	}
	if err := validateOneOf("status", *c.Status, PartnerActive, PartnerIsSuspended); err != nil {
		return nil, err
	}
	switch {
	case *c.Status == PartnerActive && p.hasExpired(c.At):
		return nil, Refuse(CodeConflict, "the federation partner has expired: set expiresAt to a time that is still to come, or to null").With("field", "status")
	case *c.Status == p.Status:
		return nil, nil
	case *c.Status == PartnerIsSuspended:
		return PartnerSuspended{PartnerID: p.ID}, nil
	}
	return PartnerReactivated{PartnerID: p.ID}, nil
}

// DeletePartner ends a partner for good.
type DeletePartner struct{ Caller Caller }

func (c DeletePartner) decide(p Partner) ([]Event, error) {
	if err := p.mayBeReadBy(c.Caller); err != nil {
		return nil, err
	}
	return []Event{PartnerDeleted{PartnerID: p.ID}}, nil
}

// ExpirePartner puts it on record, once, that a partner's time has run out.
type ExpirePartner struct{ At time.Time }

func (c ExpirePartner) decide(p Partner) ([]Event, error) {
	if !p.Exists() || !p.hasExpired(c.At) || p.ExpiryRecorded {
		return nil, nil
	}
	return []Event{PartnerExpired{PartnerID: p.ID, ExpiresAt: p.ExpiresAt}}, nil
}

// AbandonPartner makes sure that a partner whose registration was never finished
// never comes to life. It is refused when the partner exists.
type AbandonPartner struct{ PartnerID PartnerID }

func (c AbandonPartner) decide(p Partner) ([]Event, error) {
	if p.Exists() {
		return nil, ClaimIssuer.Taken()
	}
	if p.Abandoned() {
		return nil, nil
	}
	return []Event{PartnerAbandoned(c)}, nil
}
