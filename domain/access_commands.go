package domain

import (
	"slices"
	"time"
)

// RevokeAgentsAccess ends, by one event, all tokens of an agent, and what it has
// lent and been lent. With Credentials it ends all of its credentials too; else
// the agent gets new tokens by them.
type RevokeAgentsAccess struct {
	Caller      Caller
	Reason      string // 1 to 256 characters
	Credentials bool
}

func (c RevokeAgentsAccess) decide(a Agent) ([]Event, error) {
	if err := validateLine("reason", c.Reason, 1, maxReasonLength); err != nil {
		return nil, err
	}
	if err := a.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if err := c.mayRevoke(a); err != nil {
		return nil, err
	}
	return []Event{AgentAccessRevoked{AgentID: a.ID, Reason: c.Reason, Credentials: c.Credentials}}, nil
}

// mayRevoke: an agent may end its own access. For others, ending what can be had
// again takes no more than suspending the agent does, and ending its credentials
// what revoking each of them takes.
func (c RevokeAgentsAccess) mayRevoke(a Agent) error {
	switch {
	case c.Caller.IsAgent(a.ID):
		return nil
	case c.Credentials:
		return a.mayBeWeakenedBy(c.Caller)
	}
	return a.outranks(c.Caller)
}

// RevokeOrganizationsAccess does the same to all agents of an organization, by one
// event, however many they are. The operator may, and admins of the organization.
type RevokeOrganizationsAccess struct {
	Caller      Caller
	Reason      string // 1 to 256 characters
	Credentials bool
}

func (c RevokeOrganizationsAccess) decide(o Organization) ([]Event, error) {
	if err := o.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if err := validateLine("reason", c.Reason, 1, maxReasonLength); err != nil {
		return nil, err
	}
	revoked := OrganizationAccessRevoked{OrganizationID: o.ID, Reason: c.Reason, Credentials: c.Credentials}
	if c.Credentials {
		revoked.Era = o.Era + 1
	}
	return []Event{revoked}, nil
}

// InEra is the agent as it stands in an era of its organization: credentials of
// earlier ones are revoked. When they were is not known here.
func (a Agent) InEra(era int) Agent {
	a.Era = era
	outdated := func(c Credential) bool { return c.Era < era && c.Status != CredentialIsRevoked }
	if !slices.ContainsFunc(a.Credentials, outdated) {
		return a
	}
	a.Credentials = slices.Clone(a.Credentials)
	for i := range a.Credentials {
		if outdated(a.Credentials[i]) {
			a.Credentials[i].Status = CredentialIsRevoked
		}
	}
	return a
}

// InEra is a command to an agent whose organization is in that era. Commands that
// are about credentials come in one: an agent's own stream does not tell it.
type InEra struct {
	Era     int
	Command AgentCommand
}

func (c InEra) decide(a Agent) ([]Event, error) { return c.Command.decide(a.InEra(c.Era)) }

// revokeAll never writes to the slice it is given: older states share it.
func revokeAll(credentials []Credential, at time.Time) []Credential {
	credentials = slices.Clone(credentials)
	for i := range credentials {
		if c := &credentials[i]; c.Status != CredentialIsRevoked {
			c.Status, c.RevokedAt = CredentialIsRevoked, at
		}
	}
	return credentials
}
