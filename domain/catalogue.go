package domain

import (
	"maps"
	"slices"
)

// catalogue has one row for each event there is, and a row says all that the
// rest of the program asks of an event without knowing it: see [kind]. Filters
// and lists of names are derived from it. An event's name is stated here and at
// its type, and stays for ever.
var catalogue = map[Type]*kind{
	"agent.created": {
		schema: 1, decode: decodeAs[AgentCreated], changes: AgentNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e AgentCreated) Subject { return Subject{Agent: e.AgentID} }),
	},
	"agent.updated": {
		schema: 1, decode: decodeAs[AgentUpdated], changes: AgentNoun, audit: AuditSuccess, ends: tokensOf(AgentNoun, AsBefore),
		refine: refine(endingByUpdate),
		about:  about(func(e AgentUpdated) Subject { return Subject{Agent: e.AgentID} }),
	},
	"agent.suspended": {
		schema: 1, decode: decodeAs[AgentSuspended], changes: AgentNoun, audit: AuditSuccess, ends: tokensOf(AgentNoun, ShutOut),
		about: about(func(e AgentSuspended) Subject { return Subject{Agent: e.AgentID} }),
	},
	"agent.reactivated": {
		schema: 1, decode: decodeAs[AgentReactivated], changes: AgentNoun, audit: AuditSuccess, ends: tokensOf(AgentNoun, LetIn),
		about: about(func(e AgentReactivated) Subject { return Subject{Agent: e.AgentID} }),
	},
	"agent.decommissioned": {
		schema: 1, decode: decodeAs[AgentDecommissioned], changes: AgentNoun, audit: AuditSuccess, ends: tokensOf(AgentNoun, ShutOut),
		about: about(func(e AgentDecommissioned) Subject { return Subject{Agent: e.AgentID} }),
	},
	"agent.access_revoked": {
		schema: 1, decode: decodeAs[AgentAccessRevoked], changes: AgentNoun, audit: AuditSuccess, ends: allAccessOf(AgentNoun),
		refine: refine(endingOfAgentsAccess),
		about:  about(func(e AgentAccessRevoked) Subject { return Subject{Agent: e.AgentID} }),
	},
	"agent.admin_confirmed": {
		schema: 1, decode: decodeAs[AdminConfirmed], changes: Nothing, audit: unaudited, ends: noTokens,
		about: about(func(e AdminConfirmed) Subject { return Subject{Agent: e.AgentID} }),
	},
	"agent.registration_abandoned": {
		schema: 1, decode: decodeAs[RegistrationAbandoned], changes: Nothing, audit: unaudited, ends: noTokens,
		about: about(func(e RegistrationAbandoned) Subject { return Subject{Agent: e.AgentID} }),
	},

	"credential.generated": {
		schema: 1, decode: decodeAs[CredentialGenerated], changes: CredentialNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e CredentialGenerated) Subject { return Subject{Agent: e.AgentID, Credential: e.CredentialID} }),
	},
	"credential.rotated": {
		schema: 1, decode: decodeAs[CredentialRotated], changes: CredentialNoun, audit: AuditSuccess, ends: tokensOf(CredentialNoun, AsBefore),
		refine: refine(endingByRotation),
		about:  about(func(e CredentialRotated) Subject { return Subject{Agent: e.AgentID, Credential: e.CredentialID} }),
	},
	"credential.revoked": {
		schema: 1, decode: decodeAs[CredentialRevoked], changes: CredentialNoun, audit: AuditSuccess, ends: tokensOf(CredentialNoun, ShutOut),
		about: about(func(e CredentialRevoked) Subject { return Subject{Agent: e.AgentID, Credential: e.CredentialID} }),
	},
	"credential.expired": {
		schema: 1, decode: decodeAs[CredentialExpired], changes: CredentialNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e CredentialExpired) Subject { return Subject{Agent: e.AgentID, Credential: e.CredentialID} }),
	},

	"token.issued": {
		schema: 1, decode: decodeTokenIssued, changes: Nothing, audit: AuditSuccess, ends: noTokens,
		about: about(func(e TokenIssued) Subject {
			return Subject{Agent: e.AgentID, Credential: e.CredentialID, Token: e.TokenID}
		}),
	},
	"token.revoked": {
		schema: 1, decode: decodeAs[TokenRevoked], changes: Nothing, audit: AuditSuccess, ends: Ending{Tokens: TokenNoun},
		refine: refine(endingOfToken),
		about:  about(func(e TokenRevoked) Subject { return Subject{Agent: e.AgentID, Token: e.TokenID} }),
	},
	"auth.failed": {
		schema: 1, decode: decodeAs[AuthFailed], changes: Nothing, audit: AuditFailure, ends: noTokens,
		about: about(claimedAgent),
	},

	"delegation.created": {
		schema: 1, decode: decodeAs[DelegationCreated], changes: DelegationNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e DelegationCreated) Subject { return Subject{Delegation: e.DelegationID, Agent: e.DelegatorID} }),
	},
	"delegation.revoked": {
		schema: 1, decode: decodeAs[DelegationRevoked], changes: DelegationNoun, audit: AuditSuccess, ends: tokensOf(DelegationNoun, ShutOut),
		about: about(func(e DelegationRevoked) Subject { return Subject{Delegation: e.DelegationID, Agent: e.DelegatorID} }),
	},

	"organization.created": {
		schema: 1, decode: decodeAs[OrganizationCreated], changes: OrganizationNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e OrganizationCreated) Subject { return Subject{Organization: e.OrganizationID} }),
	},
	"organization.updated": {
		schema: 1, decode: decodeAs[OrganizationUpdated], changes: OrganizationNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e OrganizationUpdated) Subject { return Subject{Organization: e.OrganizationID} }),
	},
	"organization.suspended": {
		schema: 1, decode: decodeAs[OrganizationSuspended], changes: OrganizationNoun, audit: AuditSuccess, ends: tokensOf(OrganizationNoun, ShutOut),
		about: about(func(e OrganizationSuspended) Subject { return Subject{Organization: e.OrganizationID} }),
	},
	"organization.reactivated": {
		schema: 1, decode: decodeAs[OrganizationReactivated], changes: OrganizationNoun, audit: AuditSuccess, ends: tokensOf(OrganizationNoun, LetIn),
		about: about(func(e OrganizationReactivated) Subject { return Subject{Organization: e.OrganizationID} }),
	},
	"organization.deleted": {
		schema: 1, decode: decodeAs[OrganizationDeleted], changes: OrganizationNoun, audit: AuditSuccess, ends: tokensOf(OrganizationNoun, ShutOut),
		about: about(func(e OrganizationDeleted) Subject { return Subject{Organization: e.OrganizationID} }),
	},
	"organization.access_revoked": {
		schema: 1, decode: decodeAs[OrganizationAccessRevoked], changes: OrganizationNoun, audit: AuditSuccess, ends: allAccessOf(OrganizationNoun),
		refine: refine(endingOfOrganizationsAccess),
		about:  about(func(e OrganizationAccessRevoked) Subject { return Subject{Organization: e.OrganizationID} }),
	},
	"organization.creation_abandoned": {
		schema: 1, decode: decodeAs[CreationAbandoned], changes: Nothing, audit: unaudited, ends: noTokens,
		about: about(func(e CreationAbandoned) Subject { return Subject{Organization: e.OrganizationID} }),
	},
	"organization.member_added": {
		schema: 1, decode: decodeAs[MemberAdded], changes: MemberNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e MemberAdded) Subject { return Subject{Organization: e.OrganizationID, Agent: e.AgentID} }),
	},
	"organization.member_role_changed": {
		schema: 1, decode: decodeAs[MemberRoleChanged], changes: MemberNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e MemberRoleChanged) Subject { return Subject{Organization: e.OrganizationID, Agent: e.AgentID} }),
	},
	"organization.member_removed": {
		schema: 1, decode: decodeAs[MemberRemoved], changes: MemberNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e MemberRemoved) Subject { return Subject{Organization: e.OrganizationID, Agent: e.AgentID} }),
	},
	"organization.member_suspended": {
		schema: 1, decode: decodeAs[MemberSuspended], changes: Nothing, audit: AuditSuccess, ends: noTokens,
		about: about(func(e MemberSuspended) Subject { return Subject{Organization: e.OrganizationID, Agent: e.AgentID} }),
	},
	"tier.changed": {
		schema: 1, decode: decodeAs[TierChanged], changes: OrganizationNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e TierChanged) Subject { return Subject{Organization: e.OrganizationID} }),
	},

	"seat.taken": {
		schema: 1, decode: decodeAs[SeatTaken], changes: Nothing, audit: unaudited, ends: noTokens,
		about: about(func(e SeatTaken) Subject { return Subject{Organization: e.OrganizationID, Agent: e.AgentID} }),
	},
	"seat.released": {
		schema: 1, decode: decodeAs[SeatReleased], changes: Nothing, audit: unaudited, ends: noTokens,
		about: about(func(e SeatReleased) Subject { return Subject{Organization: e.OrganizationID, Agent: e.AgentID} }),
	},
	"seats.closed": {
		schema: 1, decode: decodeAs[SeatsClosed], changes: Nothing, audit: unaudited, ends: noTokens,
		about: about(func(e SeatsClosed) Subject { return Subject{Organization: e.OrganizationID} }),
	},
	"claim.made": {
		schema: 1, decode: decodeAs[ClaimMade], changes: Nothing, audit: unaudited, ends: noTokens,
		about: about(func(e ClaimMade) Subject { return Subject{Organization: e.OrganizationID} }),
	},
	"claim.taken_over": {
		schema: 1, decode: decodeAs[ClaimTakenOver], changes: Nothing, audit: unaudited, ends: noTokens,
		about: about(func(e ClaimTakenOver) Subject { return Subject{Organization: e.OrganizationID} }),
	},

	"did.created": {
		schema: 1, decode: decodeAs[DIDCreated], changes: DIDNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e DIDCreated) Subject { return Subject{Agent: e.AgentID} }),
	},
	"did.key_rotated": {
		schema: 1, decode: decodeAs[DIDKeyRotated], changes: DIDNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e DIDKeyRotated) Subject { return Subject{Agent: e.AgentID} }),
	},
	"did.instance_key_created": {
		schema: 1, decode: decodeAs[InstanceKeyCreated], changes: Nothing, audit: AuditSuccess, ends: noTokens,
		about: about(func(InstanceKeyCreated) Subject { return Subject{} }),
	},

	"federation.partner_registered": {
		schema: 1, decode: decodeAs[PartnerRegistered], changes: PartnerNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e PartnerRegistered) Subject { return Subject{Partner: e.PartnerID} }),
	},
	"federation.partner_updated": {
		schema: 1, decode: decodeAs[PartnerUpdated], changes: PartnerNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e PartnerUpdated) Subject { return Subject{Partner: e.PartnerID} }),
	},
	"federation.partner_suspended": {
		schema: 1, decode: decodeAs[PartnerSuspended], changes: PartnerNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e PartnerSuspended) Subject { return Subject{Partner: e.PartnerID} }),
	},
	"federation.partner_reactivated": {
		schema: 1, decode: decodeAs[PartnerReactivated], changes: PartnerNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e PartnerReactivated) Subject { return Subject{Partner: e.PartnerID} }),
	},
	"federation.partner_expired": {
		schema: 1, decode: decodeAs[PartnerExpired], changes: PartnerNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e PartnerExpired) Subject { return Subject{Partner: e.PartnerID} }),
	},
	"federation.partner_deleted": {
		schema: 1, decode: decodeAs[PartnerDeleted], changes: PartnerNoun, audit: AuditSuccess, ends: noTokens,
		about: about(func(e PartnerDeleted) Subject { return Subject{Partner: e.PartnerID} }),
	},
	"federation.registration_abandoned": {
		schema: 1, decode: decodeAs[PartnerAbandoned], changes: Nothing, audit: unaudited, ends: noTokens,
		about: about(func(e PartnerAbandoned) Subject { return Subject{Partner: e.PartnerID} }),
	},

	"signing_key.created": {
		schema: 1, decode: decodeAs[SigningKeyCreated], changes: Nothing, audit: AuditSuccess, ends: noTokens,
		about: about(func(e SigningKeyCreated) Subject { return Subject{SigningKey: e.KeyID} }),
	},
	"signing_key.activated": {
		schema: 1, decode: decodeAs[SigningKeyActivated], changes: Nothing, audit: AuditSuccess, ends: noTokens,
		about: about(func(e SigningKeyActivated) Subject { return Subject{SigningKey: e.KeyID} }),
	},
	"signing_key.retired": {
		schema: 1, decode: decodeAs[SigningKeyRetired], changes: Nothing, audit: AuditSuccess, ends: tokensOf(SigningKeyNoun, ShutOut),
		refine: refine(endingByRetirement),
		about:  about(func(e SigningKeyRetired) Subject { return Subject{SigningKey: e.KeyID} }),
	},
	"signing_key.removed": {
		schema: 1, decode: decodeAs[SigningKeyRemoved], changes: Nothing, audit: AuditSuccess, ends: noTokens,
		about: about(func(e SigningKeyRemoved) Subject { return Subject{SigningKey: e.KeyID} }),
	},

	"ledger.events_lost": {
		schema: 1, decode: decodeAs[EventsLost], changes: Nothing, audit: AuditSuccess, ends: noTokens,
		about: about(func(EventsLost) Subject { return Subject{} }),
	},
}

// Types lists the names of all events, sorted.
func Types() []Type {
	return slices.Sorted(maps.Keys(catalogue))
}

// typesWhere lists the events whose rows are wanted, sorted.
func typesWhere(wanted func(*kind) bool) []Type {
	names := make([]Type, 0, len(catalogue))
	for name, k := range catalogue {
		if wanted(k) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
