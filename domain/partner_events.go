package domain

import "time"

// PartnerRegistered is stored as "federation.partner_registered", schema 1.
type PartnerRegistered struct {
	PartnerID            PartnerID      `json:"partnerId"`
	OrganizationID       OrganizationID `json:"organizationId"`
	Name                 string         `json:"name"`
	Issuer               string         `json:"issuer"`
	JWKSURI              string         `json:"jwksUri"`
	AllowedOrganizations []string       `json:"allowedOrganizations"`
	ExpiresAt            *time.Time     `json:"expiresAt,omitempty"`
}

// PartnerUpdated is stored as "federation.partner_updated", schema 1. Absent fields
// are as they were.
type PartnerUpdated struct {
	PartnerID            PartnerID `json:"partnerId"`
	Name                 *string   `json:"name,omitempty"`
	JWKSURI              *string   `json:"jwksUri,omitempty"`
	AllowedOrganizations *[]string `json:"allowedOrganizations,omitempty"`
	ExpiresAt            *Expiry   `json:"expiresAt,omitempty"`
}

// Expiry replaces when something ends; with a nil Time it never does.
type Expiry struct {
	Time *time.Time `json:"at"`
}

// PartnerSuspended is stored as "federation.partner_suspended", schema 1.
type PartnerSuspended struct {
	PartnerID PartnerID `json:"partnerId"`
}

// PartnerReactivated is stored as "federation.partner_reactivated", schema 1.
type PartnerReactivated struct {
	PartnerID PartnerID `json:"partnerId"`
}

// PartnerExpired is stored as "federation.partner_expired", schema 1. The partner's
// tokens were refused from ExpiresAt on, whenever this came to be recorded.
type PartnerExpired struct {
	PartnerID PartnerID `json:"partnerId"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// PartnerDeleted is stored as "federation.partner_deleted", schema 1. Its issuer is
// free for another partner.
type PartnerDeleted struct {
	PartnerID PartnerID `json:"partnerId"`
}

// PartnerAbandoned is stored as "federation.registration_abandoned", schema 1.
type PartnerAbandoned struct {
	PartnerID PartnerID `json:"partnerId"`
}

func (PartnerRegistered) EventType() Type  { return "federation.partner_registered" }
func (PartnerUpdated) EventType() Type     { return "federation.partner_updated" }
func (PartnerSuspended) EventType() Type   { return "federation.partner_suspended" }
func (PartnerReactivated) EventType() Type { return "federation.partner_reactivated" }
func (PartnerExpired) EventType() Type     { return "federation.partner_expired" }
func (PartnerDeleted) EventType() Type     { return "federation.partner_deleted" }
func (PartnerAbandoned) EventType() Type   { return "federation.registration_abandoned" }
