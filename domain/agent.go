package domain

import (
	"slices"
	"time"
)

// AgentStatus is where an agent is in its life.
type AgentStatus string

const (
	AgentActive      AgentStatus = "active"
	AgentIsSuspended AgentStatus = "suspended"
	AgentIsGone      AgentStatus = "decommissioned"
	agentNeverWas    AgentStatus = "abandoned" // its registration was abandoned; it can never come to life
	agentNotYet      AgentStatus = ""
)

// Agent is the aggregate of one agent-<id> stream: the identity, its
// credentials and its token issuances. The zero Agent does not exist yet.
type Agent struct {
	ID             AgentID
	OrganizationID OrganizationID
	Email          string
	Profile        Profile
	Scopes         Scopes // allowed scopes
	Status         AgentStatus
	DID            string
	Keys           DIDKeys // of the DID
	Edition        int     // counts the changes of the agent itself; what an ETag stands for
	Confirmed      int     // the newest promotion to an admin that is on the agent's own stream; 0: none
	Credentials    []Credential
	CreatedAt      time.Time
	UpdatedAt      time.Time
	LastAuthAt     time.Time // zero when it never had a token

	// Era is that of its organization where somebody has looked, see [Agent.InEra].
	// The agent's own stream does not tell it.
	Era int `json:"-"`
}

// AgentCommand is a command to one agent.
type AgentCommand interface {
	decide(Agent) ([]Event, error)
}

// Decide says what the command leads to, or refuses with an [*Error].
func (a Agent) Decide(cmd AgentCommand) ([]Event, error) { return cmd.decide(a) }

// Exists reports whether the agent was ever registered, decommissioned ones included.
func (a Agent) Exists() bool { return a.Status != agentNotYet && a.Status != agentNeverWas }

// Abandoned reports whether the registration was given up before it was done.
func (a Agent) Abandoned() bool { return a.Status == agentNeverWas }

// Credential finds one of the agent's credentials.
func (a Agent) Credential(id CredentialID) (Credential, bool) {
	i := a.credentialIndex(id)
	if i < 0 {
		return Credential{}, false
	}
	return a.Credentials[i], true
}

func (a Agent) credentialIndex(id CredentialID) int {
	return slices.IndexFunc(a.Credentials, func(c Credential) bool { return c.ID == id })
}

// Evolve applies an event of the agent's stream, recorded at the given time.
func (a Agent) Evolve(e Event, at time.Time) Agent {
	switch e := e.(type) {
	case AgentCreated:
		a.ID, a.OrganizationID, a.Email, a.DID = e.AgentID, e.OrganizationID, e.Email, e.DID
		a.Profile, a.Scopes = e.Profile, e.Scopes
		a.CreatedAt = at
		return a.changed(AgentActive, at)
	case AgentUpdated:
		a.Profile = e.applyTo(a.Profile)
		if e.Scopes != nil {
			a.Scopes = *e.Scopes
		}
		return a.changed(a.Status, at)
	case AgentSuspended:
		return a.changed(AgentIsSuspended, at)
	case AgentReactivated:
		return a.changed(AgentActive, at)
	case AgentDecommissioned:
		a.Keys = a.Keys.Evolve(e, at)
		return a.changed(AgentIsGone, at)
	case DIDCreated, DIDKeyRotated:
		a.Keys = a.Keys.Evolve(e, at)
		return a
	case RegistrationAbandoned:
		a.ID = e.AgentID
		return a.changed(agentNeverWas, at)
	case AgentAccessRevoked:
		a.UpdatedAt = at
		if e.Credentials {
			a.Credentials = revokeAll(a.Credentials, at)
		}
		return a
	case AdminConfirmed:
		a.Confirmed = e.Promotion
		return a
	case TokenIssued:
		a.LastAuthAt = at
		return a
	case CredentialGenerated, CredentialRotated, CredentialRevoked, CredentialExpired:
		a.Credentials = evolveCredentials(a.Credentials, e, at)
		return a
	}
	return a
}

func (a Agent) changed(status AgentStatus, at time.Time) Agent {
	a.Status, a.UpdatedAt = status, at
	a.Edition++
	return a
}

func (e AgentUpdated) applyTo(p Profile) Profile {
	set(&p.AgentType, e.AgentType)
	set(&p.Version, e.Version)
	set(&p.Capabilities, e.Capabilities)
	set(&p.Owner, e.Owner)
	set(&p.DeploymentEnv, e.DeploymentEnv)
	set(&p.Description, e.Description)
	set(&p.Metadata, e.Metadata)
	set(&p.IsPublic, e.IsPublic)
	return p
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// mayChange refuses changes to agents that are not there, not the caller's, or gone.
func (a Agent) mayChange(caller Caller) error {
	if err := a.mayBeSeenBy(caller); err != nil {
		return err
	}
	if a.Status == AgentIsGone {
		return Refuse(CodeAgentDecommissioned, "the agent is decommissioned; that is final")
	}
	return nil
}

func (a Agent) mayBeSeenBy(caller Caller) error {
	return caller.MayReach(a.Exists(), a.OrganizationID, "agent", CodeAgentNotFound)
}
