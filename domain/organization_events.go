package domain

// OrganizationCreated is stored as "organization.created", schema 1.
type OrganizationCreated struct {
	OrganizationID    OrganizationID `json:"organizationId"`
	Name              string         `json:"name"`
	Slug              string         `json:"slug"`
	PlanTier          Tier           `json:"planTier"`
	MaxAgents         *int           `json:"maxAgents,omitempty"`
	MaxTokensPerMonth *int           `json:"maxTokensPerMonth,omitempty"`
	MaxCallsPerDay    *int           `json:"maxCallsPerDay,omitempty"`
	MaxTokensPerDay   *int           `json:"maxTokensPerDay,omitempty"`
}

// OrganizationUpdated is stored as "organization.updated", schema 1. Absent
// fields are as they were.
type OrganizationUpdated struct {
	OrganizationID    OrganizationID `json:"organizationId"`
	Name              *string        `json:"name,omitempty"`
	MaxAgents         *Override      `json:"maxAgents,omitempty"`
	MaxTokensPerMonth *Override      `json:"maxTokensPerMonth,omitempty"`
	MaxCallsPerDay    *Override      `json:"maxCallsPerDay,omitempty"`
	MaxTokensPerDay   *Override      `json:"maxTokensPerDay,omitempty"`
}

// Override replaces a limit of the tier; with a nil Limit the tier's own holds again.
type Override struct {
	Limit *int `json:"limit"`
}

// replace sets an organization's own limit; a nil Override leaves it.
func (o *Override) replace(limit **int) {
	if o != nil {
		*limit = o.Limit
	}
}

// OrganizationSuspended is stored as "organization.suspended", schema 1. It
// ends the tokens of all its agents.
type OrganizationSuspended struct {
	OrganizationID OrganizationID `json:"organizationId"`
}

// OrganizationReactivated is stored as "organization.reactivated", schema 1.
// Tokens from before it stay dead.
type OrganizationReactivated struct {
	OrganizationID OrganizationID `json:"organizationId"`
}

// OrganizationDeleted is stored as "organization.deleted", schema 1. It is final.
type OrganizationDeleted struct {
	OrganizationID OrganizationID `json:"organizationId"`
}

// OrganizationAccessRevoked is stored as "organization.access_revoked", schema 1.
// It ends the tokens of all agents there, and what they have lent each other. With
// Credentials it ends all their credentials too, and begins an era: those of
// eras before it count no more, see [CredentialGenerated].
type OrganizationAccessRevoked struct {
	OrganizationID OrganizationID `json:"organizationId"`
	Reason         string         `json:"reason"`
	Credentials    bool           `json:"credentials"`
	Era            int            `json:"era,omitempty"` // that begins, from 1; only with Credentials
}

// CreationAbandoned is stored as "organization.creation_abandoned", schema 1.
// It is written as the first event of an organization that had claimed its
// slug but never came to life, so that it never can.
type CreationAbandoned struct {
	OrganizationID OrganizationID `json:"organizationId"`
}

// MemberAdded is stored as "organization.member_added", schema 1.
type MemberAdded struct {
	OrganizationID OrganizationID `json:"organizationId"`
	AgentID        AgentID        `json:"agentId"`
	Role           Role           `json:"role"`
}

// MemberRoleChanged is stored as "organization.member_role_changed", schema 1.
type MemberRoleChanged struct {
	OrganizationID OrganizationID `json:"organizationId"`
	AgentID        AgentID        `json:"agentId"`
	From           Role           `json:"from"`
	Role           Role           `json:"role"`
}

// MemberRemoved is stored as "organization.member_removed", schema 1. Role is
// what the agent had. It is written before an agent that has a role is
// decommissioned, too.
type MemberRemoved struct {
	OrganizationID OrganizationID `json:"organizationId"`
	AgentID        AgentID        `json:"agentId"`
	Role           Role           `json:"role"`
}

// MemberSuspended is stored as "organization.member_suspended", schema 1. It is
// written before an agent that has a role is suspended, and says at which
// edition. An agent of a later edition that is active has come back since, or was
// never suspended.
type MemberSuspended struct {
	OrganizationID OrganizationID `json:"organizationId"`
	AgentID        AgentID        `json:"agentId"`
	Edition        int            `json:"edition"`
}

// TierChanged is stored as "tier.changed", schema 1. Who did it is the event's actor.
type TierChanged struct {
	OrganizationID OrganizationID `json:"organizationId"`
	From           Tier           `json:"from"`
	To             Tier           `json:"to"`
	Reason         string         `json:"reason"`
}

func (OrganizationCreated) EventType() Type       { return "organization.created" }
func (OrganizationUpdated) EventType() Type       { return "organization.updated" }
func (OrganizationSuspended) EventType() Type     { return "organization.suspended" }
func (OrganizationReactivated) EventType() Type   { return "organization.reactivated" }
func (OrganizationDeleted) EventType() Type       { return "organization.deleted" }
func (OrganizationAccessRevoked) EventType() Type { return "organization.access_revoked" }
func (CreationAbandoned) EventType() Type         { return "organization.creation_abandoned" }
func (MemberAdded) EventType() Type               { return "organization.member_added" }
func (MemberRoleChanged) EventType() Type         { return "organization.member_role_changed" }
func (MemberRemoved) EventType() Type             { return "organization.member_removed" }
func (MemberSuspended) EventType() Type           { return "organization.member_suspended" }
func (TierChanged) EventType() Type               { return "tier.changed" }
