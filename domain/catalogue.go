package domain

import "slices"

// catalogue lists every event there is, with the schema written today. An
// event's name is stated here and at its type, and stays for ever.
var catalogue = map[Type]kind{
	"agent.created":                {schema: 1, decode: decodeAs[AgentCreated]},
	"agent.updated":                {schema: 1, decode: decodeAs[AgentUpdated]},
	"agent.suspended":              {schema: 1, decode: decodeAs[AgentSuspended]},
	"agent.reactivated":            {schema: 1, decode: decodeAs[AgentReactivated]},
	"agent.decommissioned":         {schema: 1, decode: decodeAs[AgentDecommissioned]},
	"agent.admin_confirmed":        {schema: 1, decode: decodeAs[AdminConfirmed]},
	"agent.registration_abandoned": {schema: 1, decode: decodeAs[RegistrationAbandoned]},

	"credential.generated": {schema: 1, decode: decodeAs[CredentialGenerated]},
	"credential.rotated":   {schema: 1, decode: decodeAs[CredentialRotated]},
	"credential.revoked":   {schema: 1, decode: decodeAs[CredentialRevoked]},
	"credential.expired":   {schema: 1, decode: decodeAs[CredentialExpired]},

	"token.issued":  {schema: 1, decode: decodeTokenIssued},
	"token.revoked": {schema: 1, decode: decodeAs[TokenRevoked]},
	"auth.failed":   {schema: 1, decode: decodeAs[AuthFailed]},

	"delegation.created": {schema: 1, decode: decodeAs[DelegationCreated]},
	"delegation.revoked": {schema: 1, decode: decodeAs[DelegationRevoked]},

	"organization.created":             {schema: 1, decode: decodeAs[OrganizationCreated]},
	"organization.updated":             {schema: 1, decode: decodeAs[OrganizationUpdated]},
	"organization.suspended":           {schema: 1, decode: decodeAs[OrganizationSuspended]},
	"organization.reactivated":         {schema: 1, decode: decodeAs[OrganizationReactivated]},
	"organization.deleted":             {schema: 1, decode: decodeAs[OrganizationDeleted]},
	"organization.creation_abandoned":  {schema: 1, decode: decodeAs[CreationAbandoned]},
	"organization.member_added":        {schema: 1, decode: decodeAs[MemberAdded]},
	"organization.member_role_changed": {schema: 1, decode: decodeAs[MemberRoleChanged]},
	"organization.member_removed":      {schema: 1, decode: decodeAs[MemberRemoved]},
	"organization.member_suspended":    {schema: 1, decode: decodeAs[MemberSuspended]},
	"tier.changed":                     {schema: 1, decode: decodeAs[TierChanged]},

	"seat.taken":       {schema: 1, decode: decodeAs[SeatTaken]},
	"seat.released":    {schema: 1, decode: decodeAs[SeatReleased]},
	"seats.closed":     {schema: 1, decode: decodeAs[SeatsClosed]},
	"claim.made":       {schema: 1, decode: decodeAs[ClaimMade]},
	"claim.taken_over": {schema: 1, decode: decodeAs[ClaimTakenOver]},

	"signing_key.created": {schema: 1, decode: decodeAs[SigningKeyCreated]},

	"ledger.events_lost": {schema: 1, decode: decodeAs[EventsLost]},
}

// Types lists the names of all events, sorted.
func Types() []Type {
	names := make([]Type, 0, len(catalogue))
	for name := range catalogue {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
