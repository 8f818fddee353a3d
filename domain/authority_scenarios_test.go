package domain

import (
	"errors"
	"strings"
	"testing"
)

// In these stories robot has agents:read and agents:write, and acme's members
// are as each says.

// of is a token of an agent of acme that has all of robot's scopes, narrowed to
// some; acme has the members.
func of(id AgentID, members map[AgentID]Role, scopes ...Scope) Caller {
	return Caller{
		AgentID: id, OrganizationID: acme, Scopes: NewScopes(scopes...),
		Standing: Standing{
			Agent:        Agent{ID: id, OrganizationID: acme, Status: AgentActive, Scopes: created().Scopes},
			Organization: Organization{ID: acme, Status: OrganizationActive, Members: members},
		},
	}
}

func underLent(c Caller) Caller { c.Delegation = lent; return c }

// change is a change of robot that needs authority over it.
type change struct {
	name string
	cmd  func(Caller) AgentCommand
	past []Event // after robot was created and given its first credential
}

var (
	generating = change{"generate", func(c Caller) AgentCommand {
		return GenerateCredential{Caller: c, CredentialID: second, Verifier: verifier("s2"), At: noon}
	}, nil}
	rotating = change{"rotate", func(c Caller) AgentCommand {
		return RotateCredential{Caller: c, CredentialID: first, Verifier: verifier("s2"), At: noon}
	}, nil}
	adding = change{"add scopes", func(c Caller) AgentCommand {
		return UpdateAgent{Caller: c, Scopes: new(NewScopes(ScopeAgentsRead, ScopeAgentsWrite, ScopeOpenID))}
	}, nil}
	reviving = change{"reactivate", func(c Caller) AgentCommand {
		return UpdateAgent{Caller: c, Status: new(AgentActive)}
	}, []Event{suspended()}}

	revoking     = change{"revoke", func(c Caller) AgentCommand { return RevokeCredential{Caller: c, CredentialID: first} }, nil}
	removing     = change{"remove scopes", func(c Caller) AgentCommand { return UpdateAgent{Caller: c, Scopes: new(NewScopes())} }, nil}
	ending       = change{"decommission", func(c Caller) AgentCommand { return DecommissionAgent{Caller: c} }, nil}
	endingByWish = change{"decommission by status", func(c Caller) AgentCommand { return UpdateAgent{Caller: c, Status: new(AgentIsGone)} }, nil}
	suspending   = change{"suspend", func(c Caller) AgentCommand { return UpdateAgent{Caller: c, Status: new(AgentIsSuspended)} }, nil}
	emptying     = change{"end all access", func(c Caller) AgentCommand { return RevokeAgentsAccess{Caller: c, Reason: "stolen"} }, nil}
	emptyingAll  = change{"end all access and credentials", func(c Caller) AgentCommand {
		return RevokeAgentsAccess{Caller: c, Reason: "stolen", Credentials: true}
	}, nil}
	describing = change{"describe", func(c Caller) AgentCommand { return UpdateAgent{Caller: c, Owner: new("new owner")} }, nil}
)

func TestWhatATokenMayDoToAnAgent(t *testing.T) {
	all, write := []Scope{ScopeAgentsRead, ScopeAgentsWrite, ScopeOpenID}, []Scope{ScopeAgentsWrite}
	nobody, boss := map[AgentID]Role(nil), boss
	admins := map[AgentID]Role{boss: RoleAdmin}
	both := map[AgentID]Role{boss: RoleAdmin, robot: RoleAdmin}
	opens, revives := []change{generating, rotating}, []change{adding, reviving}
	weakens, other := []change{revoking, removing, ending, endingByWish, emptyingAll}, []change{suspending, emptying, describing}
	everything := [][]change{opens, revives, weakens, other}
	for name, test := range map[string]struct {
		caller  Caller
		may     [][]change
		refused Code
	}{
		"a colleague with robot's scopes":            {of(sibling, nobody, all...), everything, ""},
		"a colleague with agents:write alone":        {of(sibling, nobody, write...), [][]change{other}, CodeScopeNotAllowed},
		"robot itself":                               {of(robot, nobody, all...), everything, ""},
		"robot itself with agents:write alone":       {of(robot, nobody, write...), [][]change{other}, CodeScopeNotAllowed},
		"a colleague with lent scopes":               {underLent(of(sibling, nobody, all...)), [][]change{weakens, other}, CodeScopeNotAllowed},
		"robot itself with lent scopes":              {underLent(of(robot, nobody, all...)), [][]change{weakens, other}, CodeScopeNotAllowed},
		"an admin with all of its scopes":            {of(boss, admins, all...), everything, ""},
		"an admin with lent scopes":                  {underLent(of(boss, admins, all...)), [][]change{weakens, other}, CodeScopeNotAllowed},
		"a colleague, of an admin":                   {of(sibling, both, all...), [][]change{{describing}}, CodeCrossTenant},
		"an admin, of an admin":                      {of(boss, both, all...), everything, ""},
		"an admin with a narrow token, of an admin":  {of(boss, both, write...), [][]change{{describing}}, CodeCrossTenant},
		"an admin itself":                            {of(robot, both, all...), everything, ""},
		"an admin itself with agents:write alone":    {of(robot, both, write...), [][]change{{describing}}, CodeCrossTenant},
		"the operator, of an admin":                  {operator, everything, ""},
		"somebody whose standing was not looked up":  {Caller{AgentID: boss, OrganizationID: acme, Scopes: NewScopes(all...)}, [][]change{{describing}}, CodeCrossTenant},
		"an agent of another organization, in whole": {stranger, nil, CodeCrossTenant},
	} {
		t.Run(name, func(t *testing.T) {
			allowed := map[string]bool{}
			for _, list := range test.may {
				for _, c := range list {
					allowed[c.name] = true
				}
			}
			for _, c := range []change{generating, rotating, adding, reviving, revoking, removing, ending, endingByWish, emptying, emptyingAll, suspending, describing} {
				result := givenAgent(t, append([]Event{created(), generated(first, "s1")}, c.past...)...).when(c.cmd(test.caller))
				var refusal *Error
				_ = errors.As(result.err, &refusal)
				switch {
				case allowed[c.name] && (refusal != nil || len(result.events) == 0):
					t.Errorf("%s: got %v, %v; want it done", c.name, result.events, result.err)
				case !allowed[c.name] && refusal == nil:
					t.Errorf("%s: got %v; want it refused", c.name, result.events)
				case refusal != nil && refusal.Code != test.refused && refusal.Code != CodeScopeNotAllowed:
					t.Errorf("%s: got %v; want %s", c.name, refusal, test.refused)
				}
			}
		})
	}
}

// An admin may end what has more scopes than it has, but not get hold of it.
func TestAnAdminEndsButDoesNotOpenWhatHasMoreScopes(t *testing.T) {
	strong := created()
	strong.Scopes = NewScopes(ScopeAgentsRead, ScopeAgentsWrite, ScopeAuditRead)
	admin := of(boss, map[AgentID]Role{boss: RoleAdmin}, ScopeAgentsRead, ScopeAgentsWrite)
	s := givenAgent(t, strong, generated(first, "s1"))
	s.when(generating.cmd(admin)).thenRefused(CodeScopeNotAllowed, "scopes")
	s.when(rotating.cmd(admin)).thenRefused(CodeScopeNotAllowed, "scopes")
	s.when(RevokeCredential{Caller: admin, CredentialID: first, Reason: "leaked"}).then(revoked(first))
	s.when(revoking.cmd(of(sibling, nil, ScopeAgentsRead, ScopeAgentsWrite))).thenRefused(CodeScopeNotAllowed, "scopes")
}

func TestLentAuthorityRegistersNobody(t *testing.T) {
	cmd := registerRobot(func(c *RegisterAgent) { c.Caller = underLent(of(sibling, nil, ScopeAgentsRead, ScopeAgentsWrite)) })
	givenAgent(t).when(cmd).thenRefused(CodeScopeNotAllowed, "scopes")
	cmd.Scopes = nil // the default ones
	givenAgent(t).when(cmd).thenRefused(CodeScopeNotAllowed, "scopes")
}

func TestAWholeTokenStandsForItsAgent(t *testing.T) {
	own := NewScopes(ScopeAgentsRead, ScopeAuditRead, ScopeOpenID, ScopeAdminOrgs)
	for name, test := range map[string]struct {
		change func(*Caller)
		want   bool
	}{
		"all scopes":                    {func(c *Caller) { c.Scopes = own }, true},
		"all but admin:orgs and openid": {func(*Caller) {}, true},
		"one less":                      {func(c *Caller) { c.Scopes = NewScopes(ScopeAgentsRead) }, false},
		"those that do not count":       {func(c *Caller) { c.Scopes = NewScopes(ScopeOpenID) }, false},
		"lent":                          {func(c *Caller) { c.Delegation = lent }, false},
		"not looked up":                 {func(c *Caller) { c.Standing = Standing{} }, false},
		"of another agent":              {func(c *Caller) { c.Standing.Agent.ID = sibling }, false},
		"nobody":                        {func(c *Caller) { *c = Caller{Scopes: AllScopes()} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := of(robot, map[AgentID]Role{robot: RoleAdmin}, ScopeAgentsRead, ScopeAuditRead)
			c.Standing.Agent.Scopes = own
			test.change(&c)
			if got := []bool{c.IsWhole(), c.IsAgent(robot), c.IsAdmin()}; got[0] != test.want || got[1] != test.want || got[2] != test.want {
				t.Errorf("whole, the agent itself, an admin: %v, want %v", got, test.want)
			}
		})
	}
}

// A refusal that the token is the cause of says so; any other does not.
func TestARefusalSaysThatItIsTheToken(t *testing.T) {
	admins := map[AgentID]Role{boss: RoleAdmin, robot: RoleAdmin}
	narrow, all := of(boss, admins, ScopeAgentsWrite), []Scope{ScopeAgentsRead, ScopeAgentsWrite}
	for name, test := range map[string]struct {
		caller Caller
		token  any
	}{
		"narrowed":           {narrow, "narrowed"},
		"lent":               {underLent(of(boss, admins, all...)), "lent"},
		"no admin, narrowed": {of(sibling, admins, ScopeAgentsWrite), nil},
		"no admin, lent":     {underLent(of(sibling, admins, all...)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			organization := Organization{ID: acme, Status: OrganizationActive, Members: admins}
			for place, err := range map[string]error{
				"suspend":           givenAgent(t, created()).when(suspending.cmd(test.caller)).err,
				"decommission":      givenAgent(t, created()).when(ending.cmd(test.caller)).err,
				"read":              organization.AuthorizeRead(test.caller),
				"revoke what it is": errOf(Delegation{ID: lent, OrganizationID: acme, DelegatorID: helper}.Decide(RevokeDelegation{Caller: test.caller})),
			} {
				var refusal *Error
				if !errors.As(err, &refusal) || refusal.Details["token"] != test.token {
					t.Errorf("%s: %v %v; want it to say %v", place, err, refusal, test.token)
				}
				if test.token == "narrowed" && (!strings.Contains(refusal.Message, "agents:read") || !strings.Contains(refusal.Message, "ask for")) {
					t.Errorf("%s: %q does not say what is lacking and what to do", place, refusal.Message)
				}
			}
		})
	}
}

func errOf(_ []Event, err error) error { return err }

func TestThePlatformsOperatorStays(t *testing.T) {
	root := created()
	root.Email, root.Scopes = OperatorEmail(1), AllScopes()
	for n := range 3 {
		root.Email = OperatorEmail(n)
		s := givenAgent(t, root, generated(first, "s1"))
		for _, c := range []change{ending, endingByWish, suspending, removing} {
			s.when(c.cmd(operator)).thenRefused(CodeConflict, "")
		}
		s.when(revoking.cmd(operator)).then(CredentialRevoked{AgentID: robot, CredentialID: first})
		s.when(UpdateAgent{Caller: operator, Scopes: new(NewScopes(ScopeAdminOrgs))}).thenRefused(CodeConflict, "")
	}
	givenAgent(t, root, suspended()).when(reviving.cmd(operator)).then(reactivated())
	for _, caller := range []Caller{operator, colleague} {
		for _, email := range []string{
			"Operator-9@System.AgentIdP.invalid", "operator-9@system\u3002agentidp.invalid",
			"operator-9@system.agentidp\uff61invalid", "operator-9@\uff53ystem.agentidp.invalid",
		} {
			cmd := registerRobot(func(c *RegisterAgent) { c.Caller, c.Email = caller, email })
			givenAgent(t).when(cmd).thenRefused(CodeValidation, "email")
		}
	}
	system := acmeCreated()
	system.Slug = SystemSlug
	givenOrganization(t, system).when(UpdateOrganization{Caller: operator, Status: new(OrganizationIsSuspended)}).thenRefused(CodeConflict, "")
	givenOrganization(t, system).when(DeleteOrganization{Caller: operator}).thenRefused(CodeConflict, "")
}
