package domain

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
// the organization. The last admin that can act keeps the role.
type ChangeMemberRole struct {
	Caller  Caller
	AgentID AgentID
	Role    Role
	Agents  map[AgentID]Agent // of the member and of admins, looked up by the caller of the command
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
	case c.Agents[c.AgentID].Status == AgentIsGone:
		return nil, Refuse(CodeAgentDecommissioned, "the agent is decommissioned; remove it instead")
	}
	if err := o.keepsAdminWithout(c.AgentID, c.Agents); err != nil {
		return nil, err
	}
	return []Event{MemberRoleChanged{OrganizationID: o.ID, AgentID: c.AgentID, From: role, Role: c.Role}}, nil
}

// RemoveMember takes an agent's role in the organization away, for the same
// callers and with the same exception. The agent stays.
type RemoveMember struct {
	Caller  Caller
	AgentID AgentID
	Agents  map[AgentID]Agent // as in [ChangeMemberRole]
}

func (c RemoveMember) decide(o Organization) ([]Event, error) {
	if err := o.mayChange(c.Caller); err != nil {
		return nil, err
	}
	role, found := o.Members[c.AgentID]
	if !found {
		return nil, noSuchMember(c.Caller)
	}
	if err := o.keepsAdminWithout(c.AgentID, c.Agents); err != nil {
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
	Agents  map[AgentID]Agent // as in [ChangeMemberRole]
}

func (c RetireMember) decide(o Organization) ([]Event, error) {
	role, found := o.Members[c.AgentID]
	if !found {
		return nil, nil
	}
	if o.Status == OrganizationActive {
		if err := o.keepsAdminWithout(c.AgentID, c.Agents); err != nil {
			return nil, err
		}
	}
	return []Event{MemberRemoved{OrganizationID: o.ID, AgentID: c.AgentID, Role: role}}, nil
}

func noSuchMember(caller Caller) error {
	return caller.MayReach(false, OrganizationID{}, "member", CodeMemberNotFound)
}

// SuspendMember says, before an agent that has a role is suspended, that it is
// about to be: only the organization's stream can tell whether an admin is left
// that can act. The agent must still be at that edition when it is suspended. The
// operator may suspend the last admin, since somebody must be able to stop one
// that has gone astray; it can make another agent an admin.
type SuspendMember struct {
	Caller  Caller
	AgentID AgentID
	Edition int               // of the agent
	Agents  map[AgentID]Agent // as in [ChangeMemberRole]
}

func (c SuspendMember) decide(o Organization) ([]Event, error) {
	if _, found := o.Members[c.AgentID]; !found {
		return nil, nil
	}
	if !c.Caller.IsOperator() {
		if err := o.keepsAdminWithout(c.AgentID, c.Agents); err != nil {
			return nil, err
		}
	}
	if edition, known := o.Suspending[c.AgentID]; known && edition >= c.Edition {
		// This very command, repeated after a crash; or the agent was looked up
		// before others changed it, and is at a later edition by now.
		return nil, nil
	}
	return []Event{MemberSuspended{OrganizationID: o.ID, AgentID: c.AgentID, Edition: c.Edition}}, nil
}

// keepsAdminWithout refuses to take the role, or the power to use it, from an admin
// unless another is left that can act. One that was found suspended is no
// exception: it may have been reactivated since, which the organization's stream
// does not tell.
func (o Organization) keepsAdminWithout(agent AgentID, agents map[AgentID]Agent) error {
	if !o.IsAdmin(agent) || agents[agent].Status == AgentIsGone {
		return nil
	}
	for id, role := range o.Members {
		if role != RoleAdmin || id == agent {
			continue
		}
		if o.canAct(id, agents) {
			return nil
		}
	}
	return Refuse(CodeConflict, "the agent is the last admin of its organization that can act: make another active member an admin first, "+
		"or reactivate an admin that is suspended; to delete the organization, suspend it before its last admin is decommissioned").
		With("field", "agentId")
}

// canAct reports whether an admin's agent is active and about to stay so: no
// suspension of it is under way, and none can be that was decided before it was
// an admin, since its own stream knows that it is. An agent that was not looked up
// does not count. Allowed scopes and credentials do not matter: the role needs no
// scope, and who has lost all credentials is given new ones.
func (o Organization) canAct(id AgentID, agents map[AgentID]Agent) bool {
	return o.couldAct(id, agents) && agents[id].Confirmed >= o.AdminSince[id]
}

// couldAct reports whether an admin can act once it is confirmed.
func (o Organization) couldAct(id AgentID, agents map[AgentID]Agent) bool {
	agent := agents[id]
	edition, suspending := o.Suspending[id]
	return agent.Status == AgentActive && (!suspending || agent.Edition > edition)
}

// ToConfirm finds an admin beside the agent that could act, and cannot only
// because it is not confirmed, and what confirms it.
func (o Organization) ToConfirm(agent AgentID, agents map[AgentID]Agent) (ConfirmAdmin, bool) {
	for id, since := range o.AdminSince {
		if id != agent && o.couldAct(id, agents) && !o.canAct(id, agents) {
			return ConfirmAdmin{AgentID: id, Promotion: since}, true
		}
	}
	return ConfirmAdmin{}, false
}

// ConfirmAdmin puts on an agent's own stream that it has become an admin of its
// organization. A suspension or a decommissioning that is under way and does not
// know, because it looked at the organization before, then begins again: it rests
// on what the agent was [AsItWas].
type ConfirmAdmin struct {
	AgentID   AgentID
	Promotion int
}

func (c ConfirmAdmin) decide(a Agent) ([]Event, error) {
	if a.Status != AgentActive || a.Confirmed >= c.Promotion {
		return nil, nil
	}
	return []Event{AdminConfirmed(c)}, nil
}

// AsItWas is a command to an agent that must be as it was when something else was
// decided on it, on another stream. Else it is refused with
// [CodePreconditionFailed].
type AsItWas struct {
	Was     Agent
	Command AgentCommand
}

func (c AsItWas) decide(a Agent) ([]Event, error) {
	if a.Edition != c.Was.Edition || a.Confirmed != c.Was.Confirmed {
		return nil, Refuse(CodePreconditionFailed, "the agent has been changed meanwhile").With("current", a.Edition)
	}
	return c.Command.decide(a)
}
