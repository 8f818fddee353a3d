package domain

import (
	"testing"
	"time"
)

// What the scenarios of delegation are about, beside those of agents: robot
// lends to sibling, and sibling lends on to helper.
var (
	helper  = AgentID{testUUID("0000000000b4")}
	lent    = DelegationID{testUUID("0000000000e1")}
	lentTwo = DelegationID{testUUID("0000000000e2")}

	lender = Caller{AgentID: robot, OrganizationID: acme, Scopes: NewScopes(ScopeAgentsRead, ScopeAuditRead)}
	// borrower is sibling, acting with what robot has lent it.
	borrower = Caller{AgentID: sibling, OrganizationID: acme, Scopes: NewScopes(ScopeAgentsRead), Delegation: lent}
)

func givenDelegation(t testing.TB, events ...Event) story[Delegation, DelegationCommand] {
	return given[Delegation, DelegationCommand](t, events...)
}

func agentOfAcme(id AgentID, status AgentStatus) Agent {
	return Agent{ID: id, OrganizationID: acme, Status: status, Scopes: NewScopes(ScopeAgentsRead, ScopeAuditRead)}
}

// delegate is robot's wish to lend to sibling.
func delegate(change func(*CreateDelegation)) CreateDelegation {
	c := CreateDelegation{
		Caller: lender, DelegationID: lent, Delegator: agentOfAcme(robot, AgentActive),
		DelegateeID: sibling, Delegatee: agentOfAcme(sibling, AgentActive),
		Scopes: NewScopes(ScopeAgentsRead), TTLSeconds: 3600, At: noon,
	}
	if change != nil {
		change(&c)
	}
	return c
}

func delegated() DelegationCreated {
	return DelegationCreated{
		DelegationID: lent, OrganizationID: acme, DelegatorID: robot, DelegateeID: sibling,
		Scopes: NewScopes(ScopeAgentsRead), TTLSeconds: 3600, ExpiresAt: noon.Add(time.Hour),
	}
}

// lentOn is sibling's link to helper, below the one from robot.
func lentOn() DelegationCreated {
	return DelegationCreated{
		DelegationID: lentTwo, OrganizationID: acme, DelegatorID: sibling, DelegateeID: helper,
		Scopes: NewScopes(ScopeAgentsRead), TTLSeconds: 600, ExpiresAt: noon.Add(10 * time.Minute), MaxDepth: 1, Depth: 1, ParentID: &lent,
	}
}

func delegationRevoked() DelegationRevoked {
	return DelegationRevoked{DelegationID: lent, DelegatorID: robot, RevokedBy: robot, Reason: "done"}
}

func TestDelegationLendsWhatTheDelegatorHolds(t *testing.T) {
	s := givenDelegation(t).when(delegate(nil)).then(delegated())
	if got := s.state; !got.CreatedAt.Equal(noon) || !got.IssuedAt().Equal(noon) || got.Depth != 0 || !got.ParentID.IsZero() {
		t.Errorf("the delegation became %+v", got)
	}
	all := delegate(func(c *CreateDelegation) {
		c.Scopes, c.TTLSeconds, c.MaxDepth = Scopes{ScopeAuditRead, ScopeAgentsRead, ScopeAuditRead}, 86_400, 3
	})
	want := delegated()
	want.Scopes, want.TTLSeconds, want.ExpiresAt, want.MaxDepth = lender.Scopes, 86_400, noon.Add(24*time.Hour), 3
	givenDelegation(t).when(all).then(want)
}

func TestDelegationIsMadeOnce(t *testing.T) {
	givenDelegation(t, delegated()).when(delegate(nil)).thenNothing()
	givenDelegation(t, delegated()).when(delegate(func(c *CreateDelegation) { c.DelegateeID = helper })).thenRefused(CodeConflict, "")
	givenDelegation(t, delegated()).when(delegate(func(c *CreateDelegation) { c.Caller.AgentID = boss })).thenRefused(CodeConflict, "")
}

func TestDelegationIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*CreateDelegation)
		code   Code
		field  string
	}{
		"59 seconds":                    {func(c *CreateDelegation) { c.TTLSeconds = 59 }, CodeValidation, "ttlSeconds"},
		"86,401 seconds":                {func(c *CreateDelegation) { c.TTLSeconds = 86_401 }, CodeValidation, "ttlSeconds"},
		"a depth below none":            {func(c *CreateDelegation) { c.MaxDepth = -1 }, CodeValidation, "maxDepth"},
		"a depth of four":               {func(c *CreateDelegation) { c.MaxDepth = 4 }, CodeValidation, "maxDepth"},
		"no scope":                      {func(c *CreateDelegation) { c.Scopes = nil }, CodeValidation, "scopes"},
		"a scope that does not exist":   {func(c *CreateDelegation) { c.Scopes = Scopes{"root"} }, CodeValidation, "scopes"},
		"a scope not held":              {func(c *CreateDelegation) { c.Scopes = Scopes{ScopeAgentsWrite} }, CodeScopeExceedsDelegator, "scopes"},
		"admin:orgs not held":           {func(c *CreateDelegation) { c.Scopes = Scopes{ScopeAdminOrgs} }, CodeScopeExceedsDelegator, "scopes"},
		"to oneself":                    {func(c *CreateDelegation) { c.DelegateeID = robot }, CodeValidation, "delegateeAgentId"},
		"to nobody":                     {func(c *CreateDelegation) { c.Delegatee = Agent{} }, CodeCrossTenantDelegation, "delegateeAgentId"},
		"to who never came to life":     {func(c *CreateDelegation) { c.Delegatee.Status = agentNeverWas }, CodeCrossTenantDelegation, "delegateeAgentId"},
		"to another organization":       {func(c *CreateDelegation) { c.Delegatee.OrganizationID = rivals }, CodeCrossTenantDelegation, "delegateeAgentId"},
		"to who is suspended":           {func(c *CreateDelegation) { c.Delegatee.Status = AgentIsSuspended }, CodeAgentSuspended, "delegateeAgentId"},
		"to who is decommissioned":      {func(c *CreateDelegation) { c.Delegatee.Status = AgentIsGone }, CodeAgentDecommissioned, "delegateeAgentId"},
		"by who is suspended meanwhile": {func(c *CreateDelegation) { c.Delegator.Status = AgentIsSuspended }, CodeAgentSuspended, ""},
		"by who is gone meanwhile":      {func(c *CreateDelegation) { c.Delegator.Status = AgentIsGone }, CodeAgentDecommissioned, ""},
		"the operator's own scope": {func(c *CreateDelegation) {
			c.Caller.Scopes, c.Scopes = AllScopes(), Scopes{ScopeAdminOrgs}
		}, CodeScopeNotAllowed, "scopes"},
	} {
		t.Run(name, func(t *testing.T) {
			givenDelegation(t).when(delegate(test.change)).thenRefused(test.code, test.field)
		})
	}
	refusal := givenDelegation(t).when(delegate(func(c *CreateDelegation) { c.Scopes = AllScopes() })).
		thenRefused(CodeScopeExceedsDelegator, "scopes")
	if refusal.Details["requested"].(Scopes).String() != AllScopes().String() || refusal.Details["available"].(Scopes).String() != lender.Scopes.String() {
		t.Errorf("the refusal does not say what was asked for and what there is: %v", refusal.Details)
	}
}

// lendOn is sibling's wish to lend on to helper what it has of the parent.
func lendOn(parent Delegation, change func(*CreateDelegation)) CreateDelegation {
	return delegate(func(c *CreateDelegation) {
		c.Caller, c.DelegationID, c.Parent = borrower, lentTwo, parent
		c.Delegator, c.DelegateeID, c.Delegatee = agentOfAcme(sibling, AgentActive), helper, agentOfAcme(helper, AgentActive)
		c.TTLSeconds, c.MaxDepth = 600, 1
		if change != nil {
			change(c)
		}
	})
}

func TestLentAuthorityIsLentOnWithinItsBounds(t *testing.T) {
	root := delegated()
	root.MaxDepth = 2
	parent := givenDelegation(t, root).state
	givenDelegation(t).when(lendOn(parent, nil)).then(lentOn())
	for name, test := range map[string]struct {
		parent func(*Delegation)
		change func(*CreateDelegation)
		code   Code
		field  string
	}{
		"as deep as itself":        {nil, func(c *CreateDelegation) { c.MaxDepth = 2 }, CodeValidation, "maxDepth"},
		"longer":                   {nil, func(c *CreateDelegation) { c.TTLSeconds = 3601 }, CodeValidation, "ttlSeconds"},
		"wider than the token":     {nil, func(c *CreateDelegation) { c.Scopes = lender.Scopes }, CodeScopeExceedsDelegator, "scopes"},
		"wider than the link":      {nil, func(c *CreateDelegation) { c.Caller.Scopes, c.Scopes = lender.Scopes, lender.Scopes }, CodeUnauthorized, ""},
		"when not allowed":         {func(d *Delegation) { d.MaxDepth = 0 }, func(c *CreateDelegation) { c.MaxDepth = 0 }, CodeCrossTenant, ""},
		"by somebody else":         {func(d *Delegation) { d.DelegateeID = boss }, nil, CodeUnauthorized, ""},
		"after it was revoked":     {func(d *Delegation) { d.RevokedAt = noon }, nil, CodeUnauthorized, ""},
		"after it has expired":     {func(d *Delegation) { d.ExpiresAt = noon }, nil, CodeUnauthorized, ""},
		"under what never existed": {func(d *Delegation) { *d = Delegation{} }, nil, CodeUnauthorized, ""},
		"under another link":       {func(d *Delegation) { d.ID = lentTwo }, nil, CodeUnauthorized, ""},
	} {
		t.Run(name, func(t *testing.T) {
			changed := parent
			if test.parent != nil {
				test.parent(&changed)
			}
			givenDelegation(t).when(lendOn(changed, test.change)).thenRefused(test.code, test.field)
		})
	}
}

func TestWhoMayRevokeADelegation(t *testing.T) {
	admins := Organization{ID: acme, Status: OrganizationActive, Members: map[AgentID]Role{boss: RoleAdmin, helper: RoleMember}}
	member := func(id AgentID, scopes ...Scope) Caller {
		standing := Standing{Agent: agentOfAcme(id, AgentActive), Organization: admins}
		return Caller{AgentID: id, OrganizationID: acme, Scopes: NewScopes(scopes...), Standing: standing}
	}
	all := []Scope{ScopeAgentsRead, ScopeAuditRead}
	under := func(c Caller, id DelegationID) Caller { c.Delegation = id; return c }
	for name, test := range map[string]struct {
		caller  Caller
		refused Code
	}{
		"the delegator":                        {lender, ""},
		"the delegator with a narrow token":    {member(robot, ScopeAuditRead), ""},
		"an admin of the organization":         {member(boss, all...), ""},
		"an admin with a narrow token":         {member(boss, ScopeAgentsRead), CodeCrossTenant},
		"the operator":                         {operator, ""},
		"the delegatee":                        {member(sibling, all...), CodeCrossTenant},
		"the delegatee, with what it was lent": {borrower, CodeCrossTenant},
		"a member":                             {member(helper, all...), CodeCrossTenant},
		"another agent":                        {member(AgentID{testUUID("0000000000b5")}), CodeCrossTenant},
		"another organization":                 {stranger, CodeCrossTenant},
		"an admin with lent authority":         {under(member(boss, all...), lentTwo), CodeCrossTenant},
		"the delegator with lent authority":    {under(member(robot, all...), lentTwo), CodeCrossTenant},
	} {
		t.Run(name, func(t *testing.T) {
			result := givenDelegation(t, delegated()).when(RevokeDelegation{Caller: test.caller, Reason: "done"})
			if test.refused != "" {
				result.thenRefused(test.refused, "")
				return
			}
			result.then(DelegationRevoked{DelegationID: lent, DelegatorID: robot, RevokedBy: test.caller.AgentID, Reason: "done"}).
				when(RevokeDelegation{Caller: test.caller}).thenNothing()
		})
	}
	t.Run("whoever lent on, with the same authority", func(t *testing.T) {
		givenDelegation(t, lentOn()).when(RevokeDelegation{Caller: borrower}).
			then(DelegationRevoked{DelegationID: lentTwo, DelegatorID: sibling, RevokedBy: sibling})
	})
	givenDelegation(t).when(RevokeDelegation{Caller: lender}).thenRefused(CodeCrossTenant, "")
	givenDelegation(t).when(RevokeDelegation{Caller: operator}).thenRefused(CodeDelegationNotFound, "")
	givenDelegation(t, delegated()).when(RevokeDelegation{Caller: lender, Reason: "\x00"}).thenRefused(CodeValidation, "reason")
}

func exchange(change func(*ExchangeDelegation)) ExchangeDelegation {
	c := ExchangeDelegation{
		Actor: Caller{AgentID: sibling, OrganizationID: acme}, CredentialID: first, Subject: agentOfAcme(robot, AgentActive),
		TokenID: tokenID, Audience: "https://api.test", Algorithm: "RS256", KeyID: "k1", At: noon,
	}
	if change != nil {
		change(&c)
	}
	return c
}

func exchanged(scope string, expiresAt time.Time) TokenIssued {
	return TokenIssued{
		AgentID: sibling, TokenID: tokenID, CredentialID: first, AuthMethod: ActorToken, Scope: scope, Audience: "https://api.test",
		Algorithm: "RS256", KeyID: "k1", ExpiresAt: expiresAt, Delegation: &lent, Subject: &robot,
	}
}

func TestExchangeGivesNoMoreThanWasLent(t *testing.T) {
	wide := delegated()
	wide.Scopes, wide.ExpiresAt = lender.Scopes, noon.Add(24*time.Hour)
	less := agentOfAcme(robot, AgentActive)
	less.Scopes = NewScopes(ScopeAuditRead, ScopeWebhooksRead)
	hour := noon.Add(time.Hour)
	for name, test := range map[string]struct {
		change  func(*ExchangeDelegation)
		want    string
		refused bool
	}{
		"all there is":                {nil, "agents:read audit:read", false},
		"a part":                      {func(c *ExchangeDelegation) { c.Scopes = NewScopes(ScopeAuditRead) }, "audit:read", false},
		"more":                        {func(c *ExchangeDelegation) { c.Scopes = NewScopes(ScopeAuditRead, ScopeTokensRead) }, "", true},
		"none":                        {func(c *ExchangeDelegation) { c.Scopes = Scopes{} }, "", true},
		"what the delegator has left": {func(c *ExchangeDelegation) { c.Subject = less }, "audit:read", false},
		"what the delegator has lost": {func(c *ExchangeDelegation) { c.Subject, c.Scopes = less, NewScopes(ScopeAgentsRead) }, "", true},
		"when nothing is left":        {func(c *ExchangeDelegation) { c.Subject.Scopes = nil }, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			result := givenDelegation(t, wide).when(exchange(test.change))
			if test.refused {
				result.thenRefused(CodeScopeNotAllowed, "scope")
				return
			}
			result.then(exchanged(test.want, hour))
		})
	}
}

func TestExchangedTokenNeverOutlivesTheDelegation(t *testing.T) {
	for name, test := range map[string]struct {
		left    time.Duration
		lives   time.Duration
		refused bool
	}{
		"a day":                   {24 * time.Hour, time.Hour, false},
		"an hour":                 {time.Hour, time.Hour, false},
		"a minute and a half one": {90 * time.Second, 90 * time.Second, false},
		"a second and a half":     {1500 * time.Millisecond, time.Second, false},
		"half a second":           {500 * time.Millisecond, 0, true},
		"nothing":                 {0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			link := delegated()
			link.ExpiresAt = noon.Add(test.left)
			result := givenDelegation(t, link).when(exchange(nil))
			if test.refused {
				result.thenRefused(CodeValidation, "subject_token")
				return
			}
			result.then(exchanged("agents:read", noon.Add(test.lives)))
		})
	}
}

// Whatever is wrong, the answer is the same.
func TestUselessDelegationTellsNothing(t *testing.T) {
	want := RefuseExchange().Error()
	for name, test := range map[string]struct {
		past   []Event
		change func(*ExchangeDelegation)
	}{
		"unknown":             {nil, nil},
		"revoked":             {[]Event{delegated(), delegationRevoked()}, nil},
		"expired":             {[]Event{delegated()}, func(c *ExchangeDelegation) { c.At = noon.Add(time.Hour) }},
		"somebody else's":     {[]Event{delegated()}, func(c *ExchangeDelegation) { c.Actor.AgentID = helper }},
		"the delegator's own": {[]Event{delegated()}, func(c *ExchangeDelegation) { c.Actor.AgentID = robot }},
		"of elsewhere":        {[]Event{delegated()}, func(c *ExchangeDelegation) { c.Actor.OrganizationID = rivals }},
		"by lent authority":   {[]Event{delegated()}, func(c *ExchangeDelegation) { c.Actor.Delegation = lentTwo }},
		"of one suspended":    {[]Event{delegated()}, func(c *ExchangeDelegation) { c.Subject.Status = AgentIsSuspended }},
		"of one gone":         {[]Event{delegated()}, func(c *ExchangeDelegation) { c.Subject.Status = AgentIsGone }},
	} {
		t.Run(name, func(t *testing.T) {
			if refusal := givenDelegation(t, test.past...).when(exchange(test.change)).thenRefused(CodeValidation, "subject_token"); refusal.Error() != want {
				t.Errorf("it says %q, want %q", refusal, want)
			}
		})
	}
}

func TestLentAuthorityOpensNoOperator(t *testing.T) {
	root := created()
	root.Scopes = AllScopes()
	itself := Caller{AgentID: robot, OrganizationID: acme, Scopes: AllScopes()}
	command := GenerateCredential{Caller: itself, CredentialID: first, Verifier: verifier("s1"), At: noon}
	givenAgent(t, root).when(command).then(generated(first, "s1"))
	command.Caller.Delegation = lent
	givenAgent(t, root).when(command).thenRefused(CodeScopeNotAllowed, "scopes")
}
