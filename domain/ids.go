package domain

import (
	"github.com/google/uuid"
)

// AgentID identifies an agent, for ever. It is the OAuth client_id as well.
type AgentID struct{ uuid.UUID }

// OrganizationID identifies an organization.
type OrganizationID struct{ uuid.UUID }

// CredentialID identifies one of an agent's credentials; rotation keeps it.
type CredentialID struct{ uuid.UUID }

// TokenID is the jti of a token (RFC 7519 section 4.1.7).
type TokenID struct{ uuid.UUID }

// DelegationID identifies a delegation: one link of a chain of them.
type DelegationID struct{ uuid.UUID }

// PartnerID identifies a federation partner.
type PartnerID struct{ uuid.UUID }

// IsZero reports whether the id is absent.
func (id AgentID) IsZero() bool        { return id.UUID == uuid.Nil }
func (id OrganizationID) IsZero() bool { return id.UUID == uuid.Nil }
func (id CredentialID) IsZero() bool   { return id.UUID == uuid.Nil }
func (id DelegationID) IsZero() bool   { return id.UUID == uuid.Nil }
func (id PartnerID) IsZero() bool      { return id.UUID == uuid.Nil }

// ParseAgentID reads the canonical text form of an agent's id.
func ParseAgentID(s string) (AgentID, error) {
	id, err := parseID("agentId", s)
	return AgentID{id}, err
}

// ParseOrganizationID reads the canonical text form of an organization's id.
func ParseOrganizationID(s string) (OrganizationID, error) {
	id, err := parseID("organizationId", s)
	return OrganizationID{id}, err
}

// ParseCredentialID reads the canonical text form of a credential's id.
func ParseCredentialID(s string) (CredentialID, error) {
	id, err := parseID("credentialId", s)
	return CredentialID{id}, err
}

// ParseTokenID reads the canonical text form of a token's id.
func ParseTokenID(s string) (TokenID, error) {
	id, err := parseID("jti", s)
	return TokenID{id}, err
}

// ParseDelegationID reads the canonical text form of a delegation's id.
func ParseDelegationID(s string) (DelegationID, error) {
	id, err := parseID("chainId", s)
	return DelegationID{id}, err
}

// ParsePartnerID reads the canonical text form of a federation partner's id.
func ParsePartnerID(s string) (PartnerID, error) {
	id, err := parseID("partnerId", s)
	return PartnerID{id}, err
}

func parseID(field, s string) (uuid.UUID, error) {
	const canonical = 36 // the other forms that uuid.Parse reads are not ours
	id, err := uuid.Parse(s)
	if err != nil || len(s) != canonical || id == uuid.Nil {
		return uuid.Nil, Invalid(field, "must be a UUID", nil)
	}
	return id, nil
}

// The streams of the ledger, one per aggregate.

func AgentStream(id AgentID) string               { return "agent-" + id.String() }
func OrganizationStream(id OrganizationID) string { return "organization-" + id.String() }
func SeatsStream(id OrganizationID) string        { return "seats-" + id.String() }
func DelegationStream(id DelegationID) string     { return "delegation-" + id.String() }
func PartnerStream(id PartnerID) string           { return "partner-" + id.String() }

// LedgerStream is what becomes of the ledger as a whole under an origin.
func LedgerStream(origin string) string { return "ledger-" + origin }

// SigningKeysStream is the life of all signing keys, but for the creation of the first
// ones.
const SigningKeysStream = "signing_key-all"

// SigningKeyStream has the creation of one of the first signing keys, which servers make
// before any state of theirs is on record.
func SigningKeyStream(kid string) string { return "signing_key-" + kid }

// InstanceStream has the keys of the server's own DID.
const InstanceStream = "did-instance"

// SecurityStream takes the events of one UTC day that belong to no agent.
func SecurityStream(day string) string { return "security-" + day }
