package domain

import "encoding/json"

// AgentCreated is stored as "agent.created", schema 1.
type AgentCreated struct {
	AgentID        AgentID        `json:"agentId"`
	OrganizationID OrganizationID `json:"organizationId"`
	Email          string         `json:"email"`
	Profile
	Scopes Scopes `json:"scopes"`
	DID    string `json:"did"`
}

// AgentUpdated is stored as "agent.updated", schema 1. Absent fields are as
// they were. A change that takes scopes away ends the tokens issued before it.
type AgentUpdated struct {
	AgentID       AgentID          `json:"agentId"`
	AgentType     *AgentType       `json:"agentType,omitempty"`
	Version       *string          `json:"version,omitempty"`
	Capabilities  *[]string        `json:"capabilities,omitempty"`
	Owner         *string          `json:"owner,omitempty"`
	DeploymentEnv *DeploymentEnv   `json:"deploymentEnv,omitempty"`
	Description   *string          `json:"description,omitempty"`
	Metadata      *json.RawMessage `json:"metadata,omitempty"`
	IsPublic      *bool            `json:"isPublic,omitempty"`
	Scopes        *Scopes          `json:"scopes,omitempty"`
	ScopesReduced bool             `json:"scopesReduced,omitempty"`
}

// AgentSuspended is stored as "agent.suspended", schema 1. It ends the agent's tokens.
type AgentSuspended struct {
	AgentID AgentID `json:"agentId"`
	Reason  string  `json:"reason"`
}

// AgentReactivated is stored as "agent.reactivated", schema 1. Tokens from
// before it stay dead.
type AgentReactivated struct {
	AgentID AgentID `json:"agentId"`
	Reason  string  `json:"reason"`
}

// AgentDecommissioned is stored as "agent.decommissioned", schema 1. It is final.
type AgentDecommissioned struct {
	AgentID AgentID `json:"agentId"`
	Reason  string  `json:"reason"`
}

// AgentAccessRevoked is stored as "agent.access_revoked", schema 1. It ends the
// agent's tokens, what it has lent and been lent and, where it says so, all of its
// credentials. The agent stays what it is.
type AgentAccessRevoked struct {
	AgentID     AgentID `json:"agentId"`
	Reason      string  `json:"reason"`
	Credentials bool    `json:"credentials"`
}

// RegistrationAbandoned is stored as "agent.registration_abandoned", schema 1.
// It is written as the first event of an agent that had claimed its e-mail
// address but never came to life, so that it never can.
type RegistrationAbandoned struct {
	AgentID AgentID `json:"agentId"`
}

// AdminConfirmed is stored as "agent.admin_confirmed", schema 1. The agent has
// become an admin of its organization by that promotion, and from here on nothing
// is done to it that was decided without knowing. It changes nothing of the agent
// that can be seen.
type AdminConfirmed struct {
	AgentID   AgentID `json:"agentId"`
	Promotion int     `json:"promotion"` // counted over all of the organization's admins
}

func (AgentCreated) EventType() Type          { return "agent.created" }
func (AgentUpdated) EventType() Type          { return "agent.updated" }
func (AgentSuspended) EventType() Type        { return "agent.suspended" }
func (AgentAccessRevoked) EventType() Type    { return "agent.access_revoked" }
func (AdminConfirmed) EventType() Type        { return "agent.admin_confirmed" }
func (AgentReactivated) EventType() Type      { return "agent.reactivated" }
func (AgentDecommissioned) EventType() Type   { return "agent.decommissioned" }
func (RegistrationAbandoned) EventType() Type { return "agent.registration_abandoned" }
