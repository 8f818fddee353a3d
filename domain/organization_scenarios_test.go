package domain

import (
	"maps"
	"strings"
	"testing"
)

func createAcme(change func(*CreateOrganization)) CreateOrganization {
	c := CreateOrganization{Caller: operator, OrganizationID: acme, Name: "Acme", Slug: "acme"}
	if change != nil {
		change(&c)
	}
	return c
}

func acmeCreated() OrganizationCreated {
	return OrganizationCreated{OrganizationID: acme, Name: "Acme", Slug: "acme", PlanTier: TierFree}
}

func memberAdded(agent AgentID, role Role) MemberAdded {
	return MemberAdded{OrganizationID: acme, AgentID: agent, Role: role}
}

// admin is an agent of acme that is its admin in the stories that say so.
var admin = Caller{
	AgentID: sibling, OrganizationID: acme, Scopes: NewScopes(ScopeAgentsRead),
	Standing: Standing{Agent: Agent{ID: sibling, OrganizationID: acme, Status: AgentActive, Scopes: NewScopes(ScopeAgentsRead, ScopeOpenID)}},
}

func TestOperatorFoundsOrganizations(t *testing.T) {
	s := givenOrganization(t).when(createAcme(nil)).then(acmeCreated())
	if !s.state.Exists() || s.state.MustBeActive() != nil || !s.state.CreatedAt.Equal(noon) {
		t.Errorf("after creation: %+v", s.state)
	}
	want := acmeCreated()
	want.PlanTier, want.MaxAgents, want.MaxTokensPerMonth = TierPro, new(0), new(maxLimit)
	givenOrganization(t).when(createAcme(func(c *CreateOrganization) {
		c.PlanTier, c.MaxAgents, c.MaxTokensPerMonth = TierPro, new(0), new(maxLimit)
	})).then(want)
	givenOrganization(t).when(createAcme(func(c *CreateOrganization) { c.Caller = stranger })).thenRefused(CodeInsufficientScope, "")
}

func TestCreationRepeatedAfterACrashChangesNothing(t *testing.T) {
	givenOrganization(t, acmeCreated()).when(createAcme(nil)).thenNothing()
	givenOrganization(t, acmeCreated()).when(createAcme(func(c *CreateOrganization) { c.Slug = "acme-2" })).thenRefused(CodeConflict, "")
}

func TestAbandonedCreationNeverComesToLife(t *testing.T) {
	s := givenOrganization(t).when(AbandonCreation{OrganizationID: acme}).then(CreationAbandoned{OrganizationID: acme})
	s.when(AbandonCreation{OrganizationID: acme}).thenNothing()
	s.when(createAcme(nil)).thenRefused(CodeConflict, "")
	s.when(UpdateOrganization{Caller: operator, Name: new("x")}).thenRefused(CodeOrganizationNotFound, "")
	s.when(AddMember{Caller: operator, AgentID: robot, Role: RoleAdmin}).thenRefused(CodeOrganizationNotFound, "")
	s.when(DeleteOrganization{Caller: operator}).thenRefused(CodeOrganizationNotFound, "")
	if s.state.Exists() || !s.state.Abandoned() || s.state.MustBeActive() == nil || s.state.AuthorizeRead(operator) == nil {
		t.Errorf("an abandoned creation passes for an organization: %+v", s.state)
	}
	givenOrganization(t, acmeCreated()).when(AbandonCreation{OrganizationID: acme}).thenRefused(CodeSlugTaken, "")
}

func TestCreationRefusesWhatIsNotValid(t *testing.T) {
	slug := func(s string) func(*CreateOrganization) { return func(c *CreateOrganization) { c.Slug = s } }
	for name, test := range map[string]struct {
		change func(*CreateOrganization)
		field  string
	}{
		"no name":               {func(c *CreateOrganization) { c.Name = "" }, "name"},
		"blank name":            {func(c *CreateOrganization) { c.Name = "  " }, "name"},
		"name too long":         {func(c *CreateOrganization) { c.Name = strings.Repeat("n", 129) }, "name"},
		"slug too short":        {slug("a"), "slug"},
		"slug too long":         {slug(strings.Repeat("a", 65)), "slug"},
		"slug upper case":       {slug("Acme"), "slug"},
		"slug double hyphen":    {slug("ac--me"), "slug"},
		"slug leading hyphen":   {slug("-acme"), "slug"},
		"slug trailing hyphen":  {slug("acme-"), "slug"},
		"slug trailing newline": {slug("acme\n"), "slug"},
		"unknown tier":          {func(c *CreateOrganization) { c.PlanTier = "gold" }, "planTier"},
		"negative agents":       {func(c *CreateOrganization) { c.MaxAgents = new(-1) }, "maxAgents"},
		"too many tokens":       {func(c *CreateOrganization) { c.MaxTokensPerMonth = new(maxLimit + 1) }, "maxTokensPerMonth"},
	} {
		t.Run(name, func(t *testing.T) {
			refusal := givenOrganization(t).when(createAcme(test.change)).thenRefused(CodeValidation, test.field)
			if refusal.Details["bound"] == nil {
				t.Errorf("details %v do not say what the bound is", refusal.Details)
			}
		})
	}
}

func TestNameIsOneLine(t *testing.T) {
	givenOrganization(t).when(createAcme(func(c *CreateOrganization) { c.Name = "a\nb" })).thenRefused(CodeValidation, "name")
}

func TestOrganizationIsChangedPartByPart(t *testing.T) {
	suspendedStatus, active, pro, free := OrganizationIsSuspended, OrganizationActive, TierPro, TierFree
	for name, test := range map[string]struct {
		update UpdateOrganization
		want   []Event
	}{
		"nothing":         {UpdateOrganization{}, nil},
		"name":            {UpdateOrganization{Name: new("Acme 2")}, []Event{OrganizationUpdated{OrganizationID: acme, Name: new("Acme 2")}}},
		"same name":       {UpdateOrganization{Name: new("Acme")}, nil},
		"tier":            {UpdateOrganization{PlanTier: &pro, Reason: "paid"}, []Event{TierChanged{OrganizationID: acme, From: TierFree, To: TierPro, Reason: "paid"}}},
		"same tier":       {UpdateOrganization{PlanTier: &free}, nil},
		"suspension":      {UpdateOrganization{Status: &suspendedStatus}, []Event{OrganizationSuspended{OrganizationID: acme}}},
		"same status":     {UpdateOrganization{Status: &active}, nil},
		"no override yet": {UpdateOrganization{MaxAgents: &Override{}}, nil},
		"overrides": {
			UpdateOrganization{MaxAgents: &Override{Limit: new(3)}, MaxTokensPerMonth: &Override{Limit: new(0)}},
			[]Event{OrganizationUpdated{OrganizationID: acme, MaxAgents: &Override{Limit: new(3)}, MaxTokensPerMonth: &Override{Limit: new(0)}}},
		},
		"everything": {
			UpdateOrganization{Name: new("B"), PlanTier: &pro, Status: &suspendedStatus},
			[]Event{
				OrganizationUpdated{OrganizationID: acme, Name: new("B")},
				TierChanged{OrganizationID: acme, From: TierFree, To: TierPro},
				OrganizationSuspended{OrganizationID: acme},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.update.Caller = operator
			givenOrganization(t, acmeCreated()).when(test.update).then(test.want...).when(test.update).thenNothing()
		})
	}
}

func TestOrganizationUpdateRefusesWhatIsNotValid(t *testing.T) {
	deleted, abandoned, gold, pro := OrganizationIsDeleted, organizationNeverWas, Tier("gold"), TierPro
	for name, test := range map[string]struct {
		update UpdateOrganization
		field  string
	}{
		"name":           {UpdateOrganization{Name: new("")}, "name"},
		"tier":           {UpdateOrganization{PlanTier: &gold}, "planTier"},
		"reason":         {UpdateOrganization{PlanTier: &pro, Reason: "\x00"}, "reason"},
		"agents":         {UpdateOrganization{MaxAgents: &Override{Limit: new(-1)}}, "maxAgents"},
		"tokens":         {UpdateOrganization{MaxTokensPerMonth: &Override{Limit: new(maxLimit + 1)}}, "maxTokensPerMonth"},
		"deletion":       {UpdateOrganization{Status: &deleted}, "status"},
		"abandoning":     {UpdateOrganization{Status: &abandoned}, "status"},
		"all or nothing": {UpdateOrganization{Name: new("fine"), Status: &deleted}, "status"},
	} {
		t.Run(name, func(t *testing.T) {
			test.update.Caller = operator
			givenOrganization(t, acmeCreated()).when(test.update).thenRefused(CodeValidation, test.field)
		})
	}
}

func TestOverrideClearedByNilGivesTheTierItsSayAgain(t *testing.T) {
	past := acmeCreated()
	past.MaxAgents, past.MaxTokensPerMonth = new(3), new(7)
	s := givenOrganization(t, past)
	if got, want := s.state.Limits(), (Limits{MaxAgents: 3, MaxCallsPerDay: 1_000, MaxTokensPerDay: 1_000, MaxTokensPerMonth: 7, RetentionDays: 90}); got != want {
		t.Fatalf("limits are %+v, want %+v", got, want)
	}
	cleared := s.when(UpdateOrganization{Caller: operator, MaxAgents: &Override{}, MaxTokensPerMonth: &Override{}}).
		then(OrganizationUpdated{OrganizationID: acme, MaxAgents: &Override{}, MaxTokensPerMonth: &Override{}})
	if got, want := cleared.state.Limits(), TierFree.Limits(); got != want {
		t.Errorf("limits are %+v, want %+v", got, want)
	}
}

func TestOwnAdminsReadAndRenameAndNoMore(t *testing.T) {
	past := []Event{acmeCreated(), memberAdded(admin.AgentID, RoleAdmin)}
	s := givenOrganization(t, past...)
	if err := s.state.AuthorizeRead(admin); err != nil {
		t.Errorf("AuthorizeRead by an admin: %v", err)
	}
	s.when(UpdateOrganization{Caller: admin, Name: new("Ours")}).then(OrganizationUpdated{OrganizationID: acme, Name: new("Ours")})

	tier, status := TierEnterprise, OrganizationActive
	for name, cmd := range map[string]OrganizationCommand{
		"tier":   UpdateOrganization{Caller: admin, PlanTier: &tier},
		"agents": UpdateOrganization{Caller: admin, MaxAgents: &Override{Limit: new(1000)}},
		"tokens": UpdateOrganization{Caller: admin, MaxTokensPerMonth: &Override{}},
		"status": UpdateOrganization{Caller: admin, Status: &status},
		"member": AddMember{Caller: admin, AgentID: robot, Role: RoleMember},
		"delete": DeleteOrganization{Caller: admin},
		"create": createAcme(func(c *CreateOrganization) { c.Caller = admin }),
	} {
		t.Run(name, func(t *testing.T) {
			givenOrganization(t, past...).when(cmd).thenRefused(CodeInsufficientScope, "")
		})
	}
}

func TestOthersNeitherReadNorChangeAnOrganization(t *testing.T) {
	outsideAdmin := admin
	outsideAdmin.OrganizationID = rivals
	for name, test := range map[string]struct {
		past   []Event
		caller Caller
		code   Code
	}{
		"no member":            {[]Event{acmeCreated()}, admin, CodeInsufficientScope},
		"member but no admin":  {[]Event{acmeCreated(), memberAdded(admin.AgentID, RoleMember)}, admin, CodeInsufficientScope},
		"another organization": {[]Event{acmeCreated()}, stranger, CodeCrossTenant},
		"admin elsewhere":      {[]Event{acmeCreated(), memberAdded(admin.AgentID, RoleAdmin)}, outsideAdmin, CodeCrossTenant},
		"nothing there":        {nil, operator, CodeOrganizationNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			s := givenOrganization(t, test.past...)
			s.when(UpdateOrganization{Caller: test.caller, Name: new("Ours")}).thenRefused(test.code, "")
			if err := s.state.AuthorizeRead(test.caller); err == nil {
				t.Error("AuthorizeRead let the caller in")
			}
		})
	}
}

func TestMembersAreAddedOnce(t *testing.T) {
	s := givenOrganization(t, acmeCreated()).when(AddMember{Caller: operator, AgentID: robot, Role: RoleAdmin}).then(memberAdded(robot, RoleAdmin))
	if !s.state.IsAdmin(robot) || s.state.IsAdmin(sibling) {
		t.Errorf("members are %v", s.state.Members)
	}
	s.when(AddMember{Caller: operator, AgentID: robot, Role: RoleMember}).thenRefused(CodeAlreadyMember, "agentId")
	s.when(AddMember{Caller: operator, AgentID: robot, Role: RoleMember, Again: true}).thenRefused(CodeAlreadyMember, "agentId")
	s.when(AddMember{Caller: operator, AgentID: robot, Role: RoleAdmin, Again: true}).then()
	s.when(AddMember{Caller: operator, AgentID: sibling, Role: "owner"}).thenRefused(CodeValidation, "role")
	s.when(AddMember{Caller: operator, AgentID: sibling, Role: RoleMember}).then(memberAdded(sibling, RoleMember))
}

func TestSuspendedOrganizationIsNotActive(t *testing.T) {
	active := OrganizationActive
	s := givenOrganization(t, acmeCreated(), OrganizationSuspended{OrganizationID: acme})
	if s.state.MustBeActive() == nil {
		t.Error("a suspended organization is active")
	}
	s = s.when(UpdateOrganization{Caller: operator, Status: &active}).then(OrganizationReactivated{OrganizationID: acme})
	if err := s.state.MustBeActive(); err != nil {
		t.Errorf("a reactivated organization: %v", err)
	}
}

func TestDeletedOrganizationStaysDeleted(t *testing.T) {
	s := givenOrganization(t, acmeCreated(), memberAdded(admin.AgentID, RoleAdmin)).
		when(DeleteOrganization{Caller: operator}).then(OrganizationDeleted{OrganizationID: acme})
	active := OrganizationActive
	for name, cmd := range map[string]OrganizationCommand{
		"again":   DeleteOrganization{Caller: operator},
		"revive":  UpdateOrganization{Caller: operator, Status: &active},
		"rename":  UpdateOrganization{Caller: admin, Name: new("Ours")},
		"join":    AddMember{Caller: operator, AgentID: robot, Role: RoleMember},
		"abandon": AbandonCreation{OrganizationID: acme},
	} {
		t.Run(name, func(t *testing.T) {
			result := story[Organization, OrganizationCommand]{t: t, state: s.state}.when(cmd)
			if name == "abandon" {
				result.thenRefused(CodeSlugTaken, "")
				return
			}
			result.thenRefused(CodeOrganizationNotFound, "")
		})
	}
	if s.state.MustBeActive() == nil || s.state.AuthorizeRead(operator) != nil {
		t.Error("a deleted organization must not be active, and stay readable by the operator")
	}
}

func TestOlderStateKeepsItsMembers(t *testing.T) {
	older := givenOrganization(t, acmeCreated(), memberAdded(robot, RoleMember)).state
	before := maps.Clone(older.Members)
	older.Evolve(memberAdded(sibling, RoleAdmin), noon)
	older.Evolve(memberAdded(robot, RoleAdmin), noon)
	if !maps.Equal(older.Members, before) {
		t.Errorf("members became %v, were %v", older.Members, before)
	}
}
