package domain

import (
	"slices"
	"time"
)

// PartnerStatus is where a federation partner is in its life.
type PartnerStatus string

const (
	PartnerActive      PartnerStatus = "active"
	PartnerIsSuspended PartnerStatus = "suspended"
	PartnerIsExpired   PartnerStatus = "expired" // by the time that it is asked for, see [Partner.StatusAt]
	partnerIsDeleted   PartnerStatus = "deleted"
	partnerNeverWas    PartnerStatus = "abandoned" // its registration was given up; it can never come to life
)

// Partner is the aggregate of one partner-<id> stream: an issuer whose
// tokens this server verifies for its agents. The zero Partner does not exist.
type Partner struct {
	ID             PartnerID
	OrganizationID OrganizationID // of the operator who registered it, in whose trail it stands
	Name           string
	Issuer         string // compared byte by byte with the iss of tokens
	JWKSURI        string
	// AllowedOrganizations are the values of organization_id that its tokens may
	// have. Empty: all of them, and none.
	AllowedOrganizations []string
	Status               PartnerStatus // active or suspended, whatever the time is
	ExpiresAt            time.Time     // zero: never
	ExpiryRecorded       bool          // of this ExpiresAt
	Edition              int           // how often it has changed; what was fetched for another one counts no more
	CreatedAt            time.Time
	UpdatedAt            time.Time
}

// PartnerCommand is a command to one federation partner.
type PartnerCommand interface {
	decide(Partner) ([]Event, error)
}

// Decide says what the command leads to, or refuses with an [*Error].
func (p Partner) Decide(cmd PartnerCommand) ([]Event, error) { return cmd.decide(p) }

// Exists reports whether the partner is registered, and not deleted.
func (p Partner) Exists() bool { return p.Status == PartnerActive || p.Status == PartnerIsSuspended }

// Abandoned reports whether the partner can never exist (again): it was deleted,
// or its registration was given up.
func (p Partner) Abandoned() bool { return p.Status == partnerIsDeleted || p.Status == partnerNeverWas }

// StatusAt is how the partner stands at a time. A partner whose time has run out
// is expired, suspended or not.
func (p Partner) StatusAt(at time.Time) PartnerStatus {
	if p.Exists() && p.hasExpired(at) {
		return PartnerIsExpired
	}
	return p.Status
}

func (p Partner) hasExpired(at time.Time) bool {
	return !p.ExpiresAt.IsZero() && !at.Before(p.ExpiresAt)
}

// Allows reports whether a token of the partner may be of an organization; "" is
// a token that names none.
func (p Partner) Allows(organization string) bool {
	return len(p.AllowedOrganizations) == 0 || organization != "" && slices.Contains(p.AllowedOrganizations, organization)
}

// Evolve applies an event of the partner's stream, recorded at the given time.
func (p Partner) Evolve(e Event, at time.Time) Partner {
	switch e := e.(type) {
	case PartnerRegistered:
		p.ID, p.OrganizationID, p.Name, p.Issuer, p.JWKSURI = e.PartnerID, e.OrganizationID, e.Name, e.Issuer, e.JWKSURI
		p.AllowedOrganizations, p.ExpiresAt = e.AllowedOrganizations, timeOf(e.ExpiresAt)
		p.Status, p.CreatedAt = PartnerActive, at
	case PartnerUpdated:
		set(&p.Name, e.Name)
		set(&p.JWKSURI, e.JWKSURI)
		set(&p.AllowedOrganizations, e.AllowedOrganizations)
		if e.ExpiresAt != nil {
			p.ExpiresAt, p.ExpiryRecorded = timeOf(e.ExpiresAt.Time), false
		}
	case PartnerSuspended:
		p.Status = PartnerIsSuspended
	case PartnerReactivated:
		p.Status = PartnerActive
	case PartnerExpired:
		p.ExpiryRecorded = true
	case PartnerDeleted:
		p.Status = partnerIsDeleted
	case PartnerAbandoned:
		p.ID, p.Status = e.PartnerID, partnerNeverWas
	default:
		return p
	}
	p.Edition++
	p.UpdatedAt = at
	return p
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// mayBeReadBy lets the operator in, and nobody else.
func (p Partner) mayBeReadBy(caller Caller) error {
	if err := mustBeOperator(caller); err != nil {
		return err
	}
	if !p.Exists() {
		return Refuse(CodePartnerNotFound, "there is no such federation partner")
	}
	return nil
}

// AuthorizeRead refuses callers who may not see the partner, and what is none.
func (p Partner) AuthorizeRead(caller Caller) error { return p.mayBeReadBy(caller) }
