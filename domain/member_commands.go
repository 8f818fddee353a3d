package domain

import "slices"

// AddMember gives an agent of the organization a role in it.
type AddMember struct {
	Caller  Caller
	AgentID AgentID // an agent of the organization; checked by the caller of the command
	Role    Role
	Again   bool // it may have been done already: then there is nothing left to do
}

// Validate checks what can be checked without any state.
func (c AddMember) Validate() error {
	if err := mustBeOperator(c.Caller); err != nil {
		return err
	}
	return validateOneOf("role", c.Role, RoleMember, RoleAdmin)
}

func (c AddMember) decide(o Organization) ([]Event, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := o.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if role, already := o.Members[c.AgentID]; already && c.Again && role == c.Role {
		return nil, nil
	} else if already {
		return nil, Refuse(CodeAlreadyMember, "the agent is a member already").With("field", "agentId")
	}
	return []Event{MemberAdded{OrganizationID: o.ID, AgentID: c.AgentID, Role: c.Role}}, nil
}

// ChangeMemberRole gives a member another role. The operator may, and admins of
// the organization. The last admin keeps the role.
type ChangeMemberRole struct {
	Caller  Caller
	AgentID AgentID
	Role    Role
	Gone    []AgentID // members that are decommissioned, looked up by the caller of the command
}

func (c ChangeMemberRole) decide(o Organization) ([]Event, error) {
	if err := o.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if err := validateOneOf("role", c.Role, RoleMember, RoleAdmin); err != nil {
		return nil, err
	}
	role, found := o.Members[c.AgentID]
	switch {
	case !found:
		return nil, noSuchMember(c.Caller)
	case role == c.Role:
		return nil, nil
	case slices.Contains(c.Gone, c.AgentID):
		return nil, Refuse(CodeAgentDecommissioned, "the agent is decommissioned; remove it instead")
	}
	if err := o.keepsAdminWithout(c.AgentID, c.Gone); err != nil {
		return nil, err
	}
	return []Event{MemberRoleChanged{OrganizationID: o.ID, AgentID: c.AgentID, From: role, Role: c.Role}}, nil
}

// RemoveMember takes an agent's role in the organization away, for the same
// callers and with the same exception. The agent stays.
type RemoveMember struct {
	Caller  Caller
	AgentID AgentID
	Gone    []AgentID // as in [ChangeMemberRole]
}

func (c RemoveMember) decide(o Organization) ([]Event, error) {
	if err := o.mayChange(c.Caller); err != nil {
		return nil, err
	}
	role, found := o.Members[c.AgentID]
	if !found {
		return nil, noSuchMember(c.Caller)
	}
	if err := o.keepsAdminWithout(c.AgentID, c.Gone); err != nil {
		return nil, err
	}
	return []Event{MemberRemoved{OrganizationID: o.ID, AgentID: c.AgentID, Role: role}}, nil
}

// RetireMember takes the role of an agent away that is about to be
// decommissioned. That the caller may decommission it has been decided on the
// agent. In a suspended organization the last admin may go too: nobody can act in
// it, and it could not be deleted otherwise.
type RetireMember struct {
	AgentID AgentID
	Gone    []AgentID // as in [ChangeMemberRole]
}

func (c RetireMember) decide(o Organization) ([]Event, error) {
	role, found := o.Members[c.AgentID]
	if !found {
		return nil, nil
	}
	if o.Status == OrganizationActive {
		if err := o.keepsAdminWithout(c.AgentID, c.Gone); err != nil {
			return nil, err
		}
	}
	return []Event{MemberRemoved{OrganizationID: o.ID, AgentID: c.AgentID, Role: role}}, nil
}

func noSuchMember(caller Caller) error {
	return caller.MayReach(false, OrganizationID{}, "member", CodeMemberNotFound)
}

// keepsAdminWithout refuses to take the role from the last admin. Those who are
// gone are admins in name only.
func (o Organization) keepsAdminWithout(agent AgentID, gone []AgentID) error {
	if !o.IsAdmin(agent) || slices.Contains(gone, agent) {
		return nil
	}
	for id, role := range o.Members {
		if role == RoleAdmin && id != agent && !slices.Contains(gone, id) {
			return nil
		}
	}
	return Refuse(CodeConflict, "the agent is the last admin of its organization: make another member an admin first; "+
		"to delete the organization, suspend it before its last admin is decommissioned").With("field", "agentId")
}
