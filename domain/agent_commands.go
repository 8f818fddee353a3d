package domain

import (
	"encoding/json"
	"reflect"
	"slices"
)

// RegisterAgent brings an agent to life.
type RegisterAgent struct {
	Caller         Caller
	AgentID        AgentID
	OrganizationID OrganizationID
	Email          string
	Profile        Profile
	Scopes         Scopes // allowed scopes; none means [DefaultScopes]
	DID            string
	// DIDKey is the public half of a key that the server made for the agent's DID;
	// without one the agent has no DID document until [CreateDID].
	DIDKey json.RawMessage
}

// Validate checks what can be checked without any state.
func (c RegisterAgent) Validate() error {
	if err := c.Caller.MayActIn(c.OrganizationID); err != nil {
		return err
	}
	if err := validateEmail(c.Email); err != nil {
		return err
	}
	if err := c.mayHaveEmail(); err != nil {
		return err
	}
	if err := c.Profile.normalized().validate(); err != nil {
		return err
	}
	if err := c.scopes().validate("scopes"); err != nil {
		return err
	}
	return c.Caller.MayGrant(c.scopes())
}

func (c RegisterAgent) scopes() Scopes {
	if len(c.Scopes) == 0 {
		return DefaultScopes()
	}
	return c.Scopes.normalized()
}

func (c RegisterAgent) decide(a Agent) ([]Event, error) {
	if a.Exists() && a.Email == c.Email {
		return nil, nil // this very command, repeated after a crash
	}
	if a.Exists() {
		return nil, Refuse(CodeAgentExists, "this agent is registered already")
	}
	if a.Abandoned() {
		return nil, Refuse(CodeConflict, "the registration took too long and was given up; send it again")
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	events := []Event{AgentCreated{
		AgentID:        c.AgentID,
		OrganizationID: c.OrganizationID,
		Email:          c.Email,
		Profile:        c.Profile.normalized(),
		Scopes:         c.scopes(),
		DID:            c.DID,
	}}
	if c.DIDKey == nil {
		return events, nil
	}
	key, err := NormalDIDKey(c.DIDKey)
	if err != nil {
		return nil, err
	}
	return append(events, firstKey(c.AgentID, c.DID, key, CustodyServer)), nil
}

// UpdateAgent changes what may be changed of an agent. Nil fields stay.
type UpdateAgent struct {
	Caller        Caller
	AgentType     *AgentType
	Version       *string
	Capabilities  *[]string
	Owner         *string
	DeploymentEnv *DeploymentEnv
	Description   *string
	Metadata      *json.RawMessage
	IsPublic      *bool
	Scopes        *Scopes
	Status        *AgentStatus
	Reason        string // for a change of status
	IfEdition     []int  // when not nil, the agent must be at one of these editions
}

func (c UpdateAgent) decide(a Agent) ([]Event, error) {
	if err := a.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if c.IfEdition != nil && !slices.Contains(c.IfEdition, a.Edition) {
		return nil, Refuse(CodePreconditionFailed, "the agent has been changed since you read it; read it again").
			With("current", a.Edition)
	}
	events, err := c.decideProfile(a)
	if err != nil || c.Status == nil {
		return events, err
	}
	more, err := ChangeAgentStatus{Caller: c.Caller, Status: *c.Status, Reason: c.Reason}.decide(a)
	if err != nil {
		return nil, err
	}
	return append(events, more...), nil
}

func (c UpdateAgent) decideProfile(a Agent) ([]Event, error) {
	wanted := AgentUpdated{
		AgentID: a.ID, AgentType: c.AgentType, Version: c.Version, Capabilities: c.Capabilities, Owner: c.Owner,
		DeploymentEnv: c.DeploymentEnv, Description: c.Description, Metadata: c.Metadata, IsPublic: c.IsPublic,
	}
	profile := wanted.applyTo(a.Profile).normalized()
	changed := !reflect.DeepEqual(profile, a.Profile.normalized())
	if changed {
		if err := profile.validate(); err != nil {
			return nil, err
		}
	}
	if wanted.Capabilities != nil {
		wanted.Capabilities = &profile.Capabilities
	}
	if wanted.Metadata != nil {
		wanted.Metadata = &profile.Metadata
	}
	if err := c.decideScopes(a, &wanted); err != nil {
		return nil, err
	}
	if !changed && wanted.Scopes == nil {
		return nil, nil
	}
	return []Event{wanted}, nil
}

func (c UpdateAgent) decideScopes(a Agent, wanted *AgentUpdated) error {
	if c.Scopes == nil {
		return nil
	}
	scopes := c.Scopes.normalized()
	if err := scopes.validate("scopes"); err != nil {
		return err
	}
	added, removed := scopes.Beyond(a.Scopes), a.Scopes.Beyond(scopes)
	if len(added)+len(removed) == 0 {
		return nil
	}
	if err := a.outranks(c.Caller); err != nil {
		return err
	}
	if err := c.Caller.MayGrant(added); err != nil {
		return err
	}
	if len(removed) > 0 {
		if err := a.mayBeWeakenedBy(c.Caller); err != nil {
			return err
		}
	}
	if len(removed) > 0 && a.runsThePlatform() {
		return errOperatorStays
	}
	wanted.Scopes, wanted.ScopesReduced = &scopes, len(removed) > 0
	return nil
}

// ChangeAgentStatus moves an agent between active and suspended, or
// decommissions it, for good. To where it is already nothing happens, but a
// second decommissioning is refused.
type ChangeAgentStatus struct {
	Caller Caller
	Status AgentStatus
	Reason string // at most 256 characters
}

func (c ChangeAgentStatus) decide(a Agent) ([]Event, error) {
	if err := validateLine("reason", c.Reason, 0, maxReasonLength); err != nil {
		return nil, err
	}
	if err := a.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if c.Status == a.Status {
		return nil, nil
	}
	if err := validateOneOf("status", c.Status, AgentActive, AgentIsSuspended, AgentIsGone); err != nil {
		return nil, err
	}
	if err := c.mayChangeStatus(a); err != nil {
		return nil, err
	}
	switch c.Status {
	case AgentIsSuspended:
		return []Event{AgentSuspended{AgentID: a.ID, Reason: c.Reason}}, nil
	case AgentActive:
		return []Event{AgentReactivated{AgentID: a.ID, Reason: c.Reason}}, nil
	}
	return c.decommission(a), nil
}

// mayChangeStatus: anybody who may change an agent may suspend it, since that
// gives nothing and can be undone.
func (c ChangeAgentStatus) mayChangeStatus(a Agent) error {
	switch {
	case c.Status == AgentActive:
		return a.mayBeRevivedBy(c.Caller)
	case a.runsThePlatform():
		return errOperatorStays
	case c.Status == AgentIsSuspended:
		return a.outranks(c.Caller)
	}
	return a.mayBeWeakenedBy(c.Caller)
}

func (c ChangeAgentStatus) decommission(a Agent) []Event {
	var events []Event
	for _, credential := range a.Credentials {
		if credential.Status != CredentialIsRevoked {
			events = append(events, CredentialRevoked{AgentID: a.ID, CredentialID: credential.ID, Reason: "agent decommissioned"})
		}
	}
	return append(events, AgentDecommissioned{AgentID: a.ID, Reason: c.Reason})
}

// DecommissionAgent ends an agent: its credentials are revoked, its tokens die,
// its record stays.
type DecommissionAgent struct {
	Caller Caller
	Reason string
}

func (c DecommissionAgent) decide(a Agent) ([]Event, error) {
	if err := a.mayBeSeenBy(c.Caller); err != nil {
		return nil, err
	}
	if a.Status == AgentIsGone {
		return nil, Refuse(CodeAlreadyDecommissioned, "the agent is decommissioned already")
	}
	return ChangeAgentStatus{Caller: c.Caller, Status: AgentIsGone, Reason: c.Reason}.decide(a)
}

// AbandonRegistration makes sure that an agent that was never finished never
// will be. It is refused when the agent came to life.
type AbandonRegistration struct{ AgentID AgentID }

func (c AbandonRegistration) decide(a Agent) ([]Event, error) {
	if a.Exists() {
		return nil, Refuse(CodeAgentExists, "this agent is registered already")
	}
	if a.Abandoned() {
		return nil, nil
	}
	return []Event{RegistrationAbandoned(c)}, nil
}
