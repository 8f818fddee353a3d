package domain

import (
	"maps"
	"testing"
)

func roleChanged(agent AgentID, from, to Role) MemberRoleChanged {
	return MemberRoleChanged{OrganizationID: acme, AgentID: agent, From: from, Role: to}
}

func memberRemoved(agent AgentID, role Role) MemberRemoved {
	return MemberRemoved{OrganizationID: acme, AgentID: agent, Role: role}
}

func TestAdminsChangeRolesAndRemoveMembers(t *testing.T) {
	s := givenOrganization(t, acmeCreated(), memberAdded(sibling, RoleAdmin), memberAdded(robot, RoleMember))
	active := standing(AgentActive, sibling, robot)
	for _, caller := range []Caller{admin, operator} {
		promoted := s.when(ChangeMemberRole{Caller: caller, AgentID: robot, Role: RoleAdmin}).then(roleChanged(robot, RoleMember, RoleAdmin))
		if !promoted.state.IsAdmin(robot) {
			t.Errorf("members are %v", promoted.state.Members)
		}
		promoted.when(ChangeMemberRole{Caller: caller, AgentID: sibling, Role: RoleMember, Agents: active}).then(roleChanged(sibling, RoleAdmin, RoleMember))
		removed := promoted.when(RemoveMember{Caller: caller, AgentID: sibling, Agents: active}).then(memberRemoved(sibling, RoleAdmin))
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

// standing is how agents were found by those who send the command.
func standing(status AgentStatus, ids ...AgentID) map[AgentID]Agent {
	found := map[AgentID]Agent{}
	for _, id := range ids {
		found[id] = Agent{ID: id, OrganizationID: acme, Status: status, Edition: 1, Confirmed: 9}
	}
	return found
}

func and(parts ...map[AgentID]Agent) map[AgentID]Agent {
	all := map[AgentID]Agent{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

func memberSuspended(id AgentID, edition int) MemberSuspended {
	return MemberSuspended{OrganizationID: acme, AgentID: id, Edition: edition}
}

func TestTheLastAdminStays(t *testing.T) {
	s := givenOrganization(t, acmeCreated(), memberAdded(sibling, RoleAdmin), memberAdded(robot, RoleMember))
	active := standing(AgentActive, sibling, robot)
	for _, caller := range []Caller{admin, operator} {
		s.when(ChangeMemberRole{Caller: caller, AgentID: sibling, Role: RoleMember, Agents: active}).thenRefused(CodeConflict, "agentId")
		s.when(RemoveMember{Caller: caller, AgentID: sibling, Agents: active}).thenRefused(CodeConflict, "agentId")
	}
	s.when(RetireMember{AgentID: sibling, Agents: active}).thenRefused(CodeConflict, "agentId")
	s.when(RetireMember{AgentID: robot, Agents: active}).then(memberRemoved(robot, RoleMember))
	s.when(RetireMember{AgentID: helper, Agents: active}).thenNothing()
	s.when(SuspendMember{Caller: admin, AgentID: sibling, Edition: 1, Agents: active}).thenRefused(CodeConflict, "agentId")
	s.when(SuspendMember{Caller: admin, AgentID: robot, Edition: 1, Agents: active}).then(memberSuspended(robot, 1))
	s.when(SuspendMember{Caller: admin, AgentID: helper, Edition: 1, Agents: active}).thenNothing()

	both := givenOrganization(t, acmeCreated(), memberAdded(sibling, RoleAdmin), memberAdded(robot, RoleAdmin))
	t.Run("an admin that is gone counts for nobody", func(t *testing.T) {
		gone := and(standing(AgentActive, sibling), standing(AgentIsGone, robot))
		both.when(RemoveMember{Caller: admin, AgentID: sibling, Agents: gone}).thenRefused(CodeConflict, "agentId")
		both.when(RemoveMember{Caller: admin, AgentID: robot, Agents: gone}).then(memberRemoved(robot, RoleAdmin))
		s.when(ChangeMemberRole{Caller: admin, AgentID: robot, Role: RoleAdmin, Agents: gone}).thenRefused(CodeAgentDecommissioned, "")
	})
	t.Run("an admin that is suspended cannot act", func(t *testing.T) {
		asleep := and(standing(AgentActive, sibling), standing(AgentIsSuspended, robot))
		both.when(RemoveMember{Caller: admin, AgentID: sibling, Agents: asleep}).thenRefused(CodeConflict, "agentId")
		both.when(RetireMember{AgentID: sibling, Agents: asleep}).thenRefused(CodeConflict, "agentId")
		both.when(SuspendMember{Caller: admin, AgentID: sibling, Edition: 1, Agents: asleep}).thenRefused(CodeConflict, "agentId")
		both.when(RemoveMember{Caller: admin, AgentID: robot, Agents: asleep}).then(memberRemoved(robot, RoleAdmin))
		both.when(RetireMember{AgentID: robot, Agents: asleep}).then(memberRemoved(robot, RoleAdmin))
	})
	t.Run("nor one that is about to be", func(t *testing.T) {
		soon, found := both.when(SuspendMember{Caller: admin, AgentID: robot, Edition: 1, Agents: active}).then(memberSuspended(robot, 1)), active
		soon.when(SuspendMember{Caller: admin, AgentID: robot, Edition: 1, Agents: found}).thenNothing()
		soon.when(SuspendMember{Caller: admin, AgentID: sibling, Edition: 1, Agents: found}).thenRefused(CodeConflict, "agentId")
		soon.when(RemoveMember{Caller: operator, AgentID: sibling, Agents: found}).thenRefused(CodeConflict, "agentId")
		back := maps.Clone(found)
		back[robot] = Agent{ID: robot, Status: AgentActive, Edition: 3, Confirmed: 9} // suspended and reactivated
		soon.when(SuspendMember{Caller: admin, AgentID: sibling, Edition: 1, Agents: back}).then(memberSuspended(sibling, 1))
		again := soon.when(SuspendMember{Caller: admin, AgentID: robot, Edition: 3, Agents: back}).then(memberSuspended(robot, 3))
		again.when(RemoveMember{Caller: admin, AgentID: sibling, Agents: back}).thenRefused(CodeConflict, "agentId")
		again.when(SuspendMember{Caller: operator, AgentID: robot, Edition: 2, Agents: back}).thenNothing() // looked up too long ago
	})
	t.Run("nor one that nobody looked up", func(t *testing.T) {
		both.when(RemoveMember{Caller: admin, AgentID: sibling, Agents: standing(AgentActive, sibling)}).thenRefused(CodeConflict, "agentId")
	})
	t.Run("the operator may stop it", func(t *testing.T) {
		stopped := s.when(SuspendMember{Caller: operator, AgentID: sibling, Edition: 1, Agents: active}).then(memberSuspended(sibling, 1))
		asleep := and(standing(AgentIsSuspended, sibling), standing(AgentActive, robot))
		stopped.when(RemoveMember{Caller: operator, AgentID: sibling, Agents: asleep}).thenRefused(CodeConflict, "agentId") // nobody could come back
		promoted := stopped.when(ChangeMemberRole{Caller: operator, AgentID: robot, Role: RoleAdmin, Agents: asleep}).then(roleChanged(robot, RoleMember, RoleAdmin))
		promoted.when(RemoveMember{Caller: operator, AgentID: sibling, Agents: asleep}).then(memberRemoved(sibling, RoleAdmin))
	})
	t.Run("of a suspended organization it may be decommissioned", func(t *testing.T) {
		past := givenOrganization(t, acmeCreated(), memberAdded(sibling, RoleAdmin), OrganizationSuspended{OrganizationID: acme})
		past.when(RetireMember{AgentID: sibling, Agents: active}).then(memberRemoved(sibling, RoleAdmin))
		past.when(RemoveMember{Caller: operator, AgentID: sibling, Agents: active}).thenRefused(CodeConflict, "agentId")
	})
}
