package domain

import "testing"

func roleChanged(agent AgentID, from, to Role) MemberRoleChanged {
	return MemberRoleChanged{OrganizationID: acme, AgentID: agent, From: from, Role: to}
}

func memberRemoved(agent AgentID, role Role) MemberRemoved {
	return MemberRemoved{OrganizationID: acme, AgentID: agent, Role: role}
}

func TestAdminsChangeRolesAndRemoveMembers(t *testing.T) {
	s := givenOrganization(t, acmeCreated(), memberAdded(sibling, RoleAdmin), memberAdded(robot, RoleMember))
	for _, caller := range []Caller{admin, operator} {
		promoted := s.when(ChangeMemberRole{Caller: caller, AgentID: robot, Role: RoleAdmin}).then(roleChanged(robot, RoleMember, RoleAdmin))
		if !promoted.state.IsAdmin(robot) {
			t.Errorf("members are %v", promoted.state.Members)
		}
		promoted.when(ChangeMemberRole{Caller: caller, AgentID: sibling, Role: RoleMember}).then(roleChanged(sibling, RoleAdmin, RoleMember))
		removed := promoted.when(RemoveMember{Caller: caller, AgentID: sibling}).then(memberRemoved(sibling, RoleAdmin))
		if _, still := removed.state.Members[sibling]; still {
			t.Errorf("members are %v", removed.state.Members)
		}
		s.when(RemoveMember{Caller: caller, AgentID: robot}).then(memberRemoved(robot, RoleMember))
		s.when(ChangeMemberRole{Caller: caller, AgentID: robot, Role: RoleMember}).thenNothing()
		s.when(ChangeMemberRole{Caller: caller, AgentID: robot, Role: "owner"}).thenRefused(CodeValidation, "role")
	}
	s.when(ChangeMemberRole{Caller: operator, AgentID: helper, Role: RoleAdmin}).thenRefused(CodeMemberNotFound, "")
	s.when(RemoveMember{Caller: operator, AgentID: helper}).thenRefused(CodeMemberNotFound, "")
	s.when(ChangeMemberRole{Caller: admin, AgentID: helper, Role: RoleAdmin}).thenRefused(CodeCrossTenant, "")
	s.when(RemoveMember{Caller: admin, AgentID: helper}).thenRefused(CodeCrossTenant, "")
}

func TestOnlyAdminsAndTheOperatorTouchMembers(t *testing.T) {
	lentTo, narrow, plain := underLent(admin), admin, of(robot, nil, ScopeAgentsRead, ScopeAgentsWrite)
	narrow.Scopes = NewScopes(ScopeOpenID)
	s := givenOrganization(t, acmeCreated(), memberAdded(sibling, RoleAdmin), memberAdded(robot, RoleMember))
	for name, test := range map[string]struct {
		caller Caller
		code   Code
	}{
		"an admin with lent authority": {lentTo, CodeInsufficientScope}, "an admin with a narrow token": {narrow, CodeInsufficientScope},
		"a member": {plain, CodeInsufficientScope}, "another organization": {stranger, CodeCrossTenant},
	} {
		t.Run(name, func(t *testing.T) {
			s.when(ChangeMemberRole{Caller: test.caller, AgentID: robot, Role: RoleAdmin}).thenRefused(test.code, "")
			s.when(RemoveMember{Caller: test.caller, AgentID: robot}).thenRefused(test.code, "")
			if s.state.AuthorizeRead(test.caller) == nil {
				t.Error("may read the organization")
			}
		})
	}
}

func TestTheLastAdminStays(t *testing.T) {
	s := givenOrganization(t, acmeCreated(), memberAdded(sibling, RoleAdmin), memberAdded(robot, RoleMember))
	for _, caller := range []Caller{admin, operator} {
		s.when(ChangeMemberRole{Caller: caller, AgentID: sibling, Role: RoleMember}).thenRefused(CodeConflict, "agentId")
		s.when(RemoveMember{Caller: caller, AgentID: sibling}).thenRefused(CodeConflict, "agentId")
	}
	s.when(RetireMember{AgentID: sibling}).thenRefused(CodeConflict, "agentId")
	s.when(RetireMember{AgentID: robot}).then(memberRemoved(robot, RoleMember))
	s.when(RetireMember{AgentID: helper}).thenNothing()

	t.Run("an admin that is gone counts for nobody", func(t *testing.T) {
		past := givenOrganization(t, acmeCreated(), memberAdded(sibling, RoleAdmin), memberAdded(robot, RoleAdmin))
		gone := []AgentID{robot}
		past.when(RemoveMember{Caller: admin, AgentID: sibling, Gone: gone}).thenRefused(CodeConflict, "agentId")
		past.when(RemoveMember{Caller: admin, AgentID: robot, Gone: gone}).then(memberRemoved(robot, RoleAdmin))
		s.when(ChangeMemberRole{Caller: admin, AgentID: robot, Role: RoleAdmin, Gone: gone}).thenRefused(CodeAgentDecommissioned, "")
	})
	t.Run("of a suspended organization it may be decommissioned", func(t *testing.T) {
		past := givenOrganization(t, acmeCreated(), memberAdded(sibling, RoleAdmin), OrganizationSuspended{OrganizationID: acme})
		past.when(RetireMember{AgentID: sibling}).then(memberRemoved(sibling, RoleAdmin))
		past.when(RemoveMember{Caller: operator, AgentID: sibling}).thenRefused(CodeConflict, "agentId")
	})
}
