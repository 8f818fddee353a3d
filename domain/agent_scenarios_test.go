package domain

import (
	"encoding/json"
	"strings"
	"testing"
)

// everyAgentCommand is one valid command of each kind, sent by the operator.
func everyAgentCommand() map[string]AgentCommand {
	return map[string]AgentCommand{
		"register":     registerRobot(nil),
		"update":       UpdateAgent{Caller: operator, Owner: new("another team")},
		"status":       ChangeAgentStatus{Caller: operator, Status: AgentIsSuspended},
		"decommission": DecommissionAgent{Caller: operator},
		"abandon":      AbandonRegistration{AgentID: robot},
		"generate":     GenerateCredential{Caller: operator, CredentialID: second, Verifier: verifier("new"), At: noon},
		"rotate":       RotateCredential{Caller: operator, CredentialID: first, Verifier: verifier("new"), At: noon},
		"revoke":       RevokeCredential{Caller: operator, CredentialID: first},
		"issue":        IssueToken{Proof: secretProof("s1"), TokenID: tokenID, At: noon},
		"revoke token": RevokeToken{TokenID: tokenID, ExpiresAt: noon},
		"revoke all":   RevokeAgentsAccess{Caller: operator, Reason: "stolen"},
		"rotate DID":   RotateDIDKey{Caller: operator, PublicKey: secondDIDKey, Custody: CustodyServer},
	}
}

func TestTenantsStayApart(t *testing.T) {
	foreign := map[string]AgentCommand{
		"register":     registerRobot(func(c *RegisterAgent) { c.Caller = stranger }),
		"update":       UpdateAgent{Caller: stranger, Owner: new("us")},
		"status":       ChangeAgentStatus{Caller: stranger, Status: AgentIsSuspended},
		"decommission": DecommissionAgent{Caller: stranger},
		"generate":     GenerateCredential{Caller: stranger, CredentialID: second, Verifier: verifier("x"), At: noon},
		"rotate":       RotateCredential{Caller: stranger, CredentialID: first, Verifier: verifier("x"), At: noon},
		"revoke":       RevokeCredential{Caller: stranger, CredentialID: first},
		"revoke all":   RevokeAgentsAccess{Caller: stranger, Reason: "stolen"},
		"rotate DID":   RotateDIDKey{Caller: stranger, PublicKey: secondDIDKey, Custody: CustodyAgent},
	}
	for name, cmd := range foreign {
		t.Run(name, func(t *testing.T) {
			past := []Event{created(), generated(first, "s1")}
			if name == "register" {
				past = nil
			}
			givenAgent(t, past...).when(cmd).thenRefused(CodeCrossTenant, "")
		})
	}
	t.Run("even when it is gone", func(t *testing.T) {
		for name, cmd := range foreign {
			if name != "register" {
				givenAgent(t, created(), decommissioned()).when(cmd).thenRefused(CodeCrossTenant, "")
			}
		}
	})
}

func TestOperatorActsInAnyOrganization(t *testing.T) {
	givenAgent(t).when(registerRobot(func(c *RegisterAgent) { c.Caller = operator })).then(created())
	givenAgent(t, created()).when(ChangeAgentStatus{Caller: operator, Status: AgentIsSuspended, Reason: "odd behaviour"}).then(suspended())
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	for name, cmd := range everyAgentCommand() {
		t.Run(name, func(t *testing.T) {
			switch result := givenAgent(t).when(cmd); name {
			case "register", "abandon":
			case "issue":
				result.thenNotAuthenticated(AuthUnknownClient)
			default:
				result.thenRefused(CodeAgentNotFound, "")
			}
		})
	}
}

func TestNobodyGrantsScopesTheyLack(t *testing.T) {
	beyond := NewScopes(ScopeAgentsRead, ScopeAuditRead)
	refusal := givenAgent(t).when(registerRobot(func(c *RegisterAgent) { c.Scopes = beyond })).thenRefused(CodeScopeNotAllowed, "scopes")
	if refusal.Details["requested"] == nil || refusal.Details["available"] == nil {
		t.Errorf("details %v do not say what was requested and what is available", refusal.Details)
	}
	givenAgent(t, created()).when(UpdateAgent{Caller: colleague, Scopes: &beyond}).thenRefused(CodeScopeNotAllowed, "scopes")

	t.Run("not even an operator whose token lacks them", func(t *testing.T) {
		caller := operator
		caller.Scopes = NewScopes(ScopeAdminOrgs)
		givenAgent(t).when(registerRobot(func(c *RegisterAgent) { c.Caller = caller })).thenRefused(CodeScopeNotAllowed, "scopes")
	})
	t.Run("nor admin:orgs without being operator", func(t *testing.T) {
		admin := NewScopes(ScopeAdminOrgs)
		givenAgent(t, created()).when(UpdateAgent{Caller: colleague, Scopes: &admin}).thenRefused(CodeScopeNotAllowed, "scopes")
	})
}

func TestScopesAnAgentHasAlreadyMayStay(t *testing.T) {
	past := created()
	past.Scopes = NewScopes(ScopeAgentsRead, ScopeAuditRead)
	more := NewScopes(ScopeAgentsRead, ScopeAgentsWrite, ScopeAuditRead)
	givenAgent(t, past).when(UpdateAgent{Caller: colleague, Scopes: &more}).then(AgentUpdated{AgentID: robot, Scopes: &more})
}

func TestTakingScopesAwayIsRecordedAsSuch(t *testing.T) {
	for name, test := range map[string]struct {
		scopes  Scopes
		reduced bool
	}{
		"one less":        {NewScopes(ScopeAgentsRead), true},
		"one for another": {NewScopes(ScopeAgentsRead, ScopeTokensRead), true},
		"none left":       {Scopes{}, true},
		"one more":        {NewScopes(ScopeAgentsRead, ScopeAgentsWrite, ScopeTokensRead), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := givenAgent(t, created()).when(UpdateAgent{Caller: colleague, Scopes: &test.scopes}).
				then(AgentUpdated{AgentID: robot, Scopes: &test.scopes, ScopesReduced: test.reduced})
			if got := s.state.Scopes.String(); got != test.scopes.String() {
				t.Errorf("allowed scopes are %q, want %q", got, test.scopes)
			}
		})
	}
	t.Run("nil is none, also when read back", func(t *testing.T) {
		var none Scopes
		givenAgent(t, created()).when(UpdateAgent{Caller: colleague, Scopes: &none}).
			then(AgentUpdated{AgentID: robot, Scopes: &Scopes{}, ScopesReduced: true})
	})
	t.Run("unknown ones are refused", func(t *testing.T) {
		givenAgent(t, created()).when(UpdateAgent{Caller: operator, Scopes: &Scopes{"root"}}).thenRefused(CodeValidation, "scopes")
	})
}

func TestUpdateChangesWhatItNamesAndNothingElse(t *testing.T) {
	env, kind := EnvStaging, AgentRouter
	for name, test := range map[string]struct {
		update UpdateAgent
		event  AgentUpdated
		change func(*Profile)
	}{
		"type":         {UpdateAgent{AgentType: &kind}, AgentUpdated{AgentType: &kind}, func(p *Profile) { p.AgentType = kind }},
		"version":      {UpdateAgent{Version: new("2.0.0")}, AgentUpdated{Version: new("2.0.0")}, func(p *Profile) { p.Version = "2.0.0" }},
		"owner":        {UpdateAgent{Owner: new("us")}, AgentUpdated{Owner: new("us")}, func(p *Profile) { p.Owner = "us" }},
		"environment":  {UpdateAgent{DeploymentEnv: &env}, AgentUpdated{DeploymentEnv: &env}, func(p *Profile) { p.DeploymentEnv = env }},
		"description":  {UpdateAgent{Description: new("")}, AgentUpdated{Description: new("")}, func(p *Profile) { p.Description = "" }},
		"publicity":    {UpdateAgent{IsPublic: new(true)}, AgentUpdated{IsPublic: new(true)}, func(p *Profile) { p.IsPublic = true }},
		"capabilities": {UpdateAgent{Capabilities: new([]string{"a:b"})}, AgentUpdated{Capabilities: new([]string{"a:b"})}, func(p *Profile) { p.Capabilities = []string{"a:b"} }},
		"no capabilities": {
			UpdateAgent{Capabilities: new([]string(nil))}, AgentUpdated{Capabilities: new([]string{})},
			func(p *Profile) { p.Capabilities = []string{} },
		},
		"metadata": {
			UpdateAgent{Metadata: new(json.RawMessage(`{}`))}, AgentUpdated{Metadata: new(json.RawMessage(`{}`))},
			func(p *Profile) { p.Metadata = json.RawMessage(`{}`) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.update.Caller, test.event.AgentID = colleague, robot
			s := givenAgent(t, created()).when(test.update).then(test.event)
			want := someProfile()
			test.change(&want)
			if got, want := picture(t, s.state.Profile), picture(t, want); got != want {
				t.Errorf("profile\n got %s\nwant %s", got, want)
			}
			if s.state.Edition != 2 || s.state.Email != created().Email || s.state.Scopes.String() != created().Scopes.String() {
				t.Errorf("something else changed: %+v", s.state)
			}
			s.when(test.update).thenNothing()
		})
	}
}

func TestUpdateRefusesWhatIsNotValid(t *testing.T) {
	kind, env, status := AgentType("butler"), DeploymentEnv("moon"), AgentStatus("asleep")
	abandoned := agentNeverWas
	for field, cmds := range map[string][]UpdateAgent{
		"agentType":     {{AgentType: &kind}},
		"deploymentEnv": {{DeploymentEnv: &env}},
		"version":       {{Version: new("")}},
		"owner":         {{Owner: new("")}},
		"description":   {{Description: new("\x07")}},
		"capabilities":  {{Capabilities: new([]string{"x"})}},
		"metadata":      {{Metadata: new(json.RawMessage(`3`))}},
		"status":        {{Status: &status}, {Status: &abandoned}, {Status: &status, Owner: new("a new one")}},
		"reason":        {{Status: new(AgentIsSuspended), Reason: strings.Repeat("x", 257)}, {Status: new(AgentIsSuspended), Reason: "a\nb"}},
	} {
		for _, cmd := range cmds {
			cmd.Caller = colleague
			givenAgent(t, created()).when(cmd).thenRefused(CodeValidation, field)
		}
	}
}

// A rule that became stricter must not keep anybody from suspending an agent
// that was registered under the older one.
func TestOldProfileDoesNotStandInTheWayOfSuspension(t *testing.T) {
	past := created()
	past.Owner = "a\nb"
	givenAgent(t, past).when(UpdateAgent{Caller: colleague, Status: new(AgentIsSuspended), Reason: "odd behaviour"}).then(suspended())
}

func TestStatusMovesOnlyAlongItsPaths(t *testing.T) {
	pasts := map[AgentStatus][]Event{
		AgentActive:      {created()},
		AgentIsSuspended: {created(), suspended()},
		AgentIsGone:      {created(), decommissioned()},
	}
	events := map[AgentStatus]Event{
		AgentActive: reactivated(), AgentIsSuspended: AgentSuspended{AgentID: robot}, AgentIsGone: AgentDecommissioned{AgentID: robot},
	}
	for from, past := range pasts {
		for to, event := range events {
			t.Run(string(from)+" to "+string(to), func(t *testing.T) {
				for _, cmd := range []AgentCommand{ChangeAgentStatus{Caller: colleague, Status: to}, UpdateAgent{Caller: colleague, Status: &to}} {
					result := givenAgent(t, past...).when(cmd)
					switch from {
					case AgentIsGone:
						result.thenRefused(CodeAgentDecommissioned, "")
					case to:
						result.thenNothing()
					default:
						if got := result.then(event).state.Status; got != to {
							t.Errorf("status is %s, want %s", got, to)
						}
					}
				}
			})
		}
	}
}

func TestDecommissioningRevokesEveryActiveCredential(t *testing.T) {
	s := givenAgent(t, created(), generated(first, "s1"), generated(second, "s2"), revoked(first)).
		when(DecommissionAgent{Caller: colleague, Reason: "retired"}).
		then(CredentialRevoked{AgentID: robot, CredentialID: second, Reason: "agent decommissioned"}, decommissioned())
	for _, c := range s.state.Credentials {
		if c.Status == CredentialActive {
			t.Errorf("credential %s is still active", c.ID)
		}
	}
	givenAgent(t, created(), suspended()).when(DecommissionAgent{Caller: colleague, Reason: "retired"}).then(decommissioned())
	givenAgent(t, created()).when(DecommissionAgent{Caller: colleague, Reason: "\x00"}).thenRefused(CodeValidation, "reason")
}

func TestDecommissioningIsFinal(t *testing.T) {
	s := givenAgent(t, created(), generated(first, "s1"), decommissioned())
	for name, cmd := range everyAgentCommand() {
		t.Run(name, func(t *testing.T) {
			s := story[Agent, AgentCommand]{t: t, state: s.state}
			switch result := s.when(cmd); name {
			case "register":
				result.thenNothing() // repeated: it does not bring the agent back
			case "abandon":
				result.thenRefused(CodeAgentExists, "")
			case "issue":
				result.thenNotAuthenticated(AuthAgentDecommissioned)
			case "revoke token":
				result.then(TokenRevoked{AgentID: robot, TokenID: tokenID, ExpiresAt: noon})
			case "decommission":
				result.thenRefused(CodeAlreadyDecommissioned, "")
			default:
				result.thenRefused(CodeAgentDecommissioned, "")
			}
		})
	}
}

func TestNoUpdateIsLost(t *testing.T) {
	s := givenAgent(t, created(), AgentUpdated{AgentID: robot, Owner: new("us")}) // edition 2
	want := AgentUpdated{AgentID: robot, Owner: new("them")}
	for name, test := range map[string]struct {
		editions []int
		refused  bool
	}{
		"no condition":   {nil, false},
		"the current":    {[]int{2}, false},
		"one of several": {[]int{7, 2}, false},
		"an older":       {[]int{1}, true},
		"none at all":    {[]int{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			result := story[Agent, AgentCommand]{t: t, state: s.state}.
				when(UpdateAgent{Caller: colleague, Owner: new("them"), IfEdition: test.editions})
			if !test.refused {
				result.then(want)
				return
			}
			if refusal := result.thenRefused(CodePreconditionFailed, ""); refusal.Details["current"] != 2 {
				t.Errorf("details are %v, want the current edition", refusal.Details)
			}
		})
	}
}

func TestEditionCountsChangesOfTheAgentItself(t *testing.T) {
	token := TokenIssued{AgentID: robot, TokenID: tokenID, CredentialID: first}
	s := givenAgent(t, created(), suspended(), reactivated(), generated(first, "s1"), token, revoked(first))
	if got := s.state.Edition; got != 3 {
		t.Errorf("edition is %d, want 3: credentials and tokens do not count", got)
	}
}
