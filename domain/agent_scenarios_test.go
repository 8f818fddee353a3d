package domain

import (
	"encoding/json"
	"strings"
	"testing"
)

func registerRobot(change func(*RegisterAgent)) RegisterAgent {
	c := RegisterAgent{
		Caller: colleague, AgentID: robot, OrganizationID: acme, Email: created().Email,
		Profile: someProfile(), Scopes: created().Scopes, DID: created().DID,
	}
	if change != nil {
		change(&c)
	}
	return c
}

func TestRegistrationBringsAnAgentToLife(t *testing.T) {
	s := givenAgent(t).when(registerRobot(nil)).then(created())
	got := s.state
	if !got.Exists() || got.Status != AgentActive || got.Edition != 1 || !got.CreatedAt.Equal(noon) || !got.LastAuthAt.IsZero() {
		t.Errorf("after registration: %+v", got)
	}
}

func TestRegistrationFillsInWhatIsNotSaid(t *testing.T) {
	want := created()
	want.Scopes = NewScopes(ScopeAgentsRead)
	want.Capabilities, want.Metadata = []string{}, json.RawMessage("{}")
	givenAgent(t).when(registerRobot(func(c *RegisterAgent) {
		c.Scopes, c.Profile.Capabilities, c.Profile.Metadata = nil, nil, nil
	})).then(want)
}

func TestScopesAreASetHoweverTheyAreListed(t *testing.T) {
	unordered := Scopes{ScopeAgentsWrite, ScopeAgentsRead, ScopeAgentsWrite}
	givenAgent(t).when(registerRobot(func(c *RegisterAgent) { c.Scopes = unordered })).then(created())
	givenAgent(t, created()).when(UpdateAgent{Caller: colleague, Scopes: &unordered}).thenNothing()
}

func TestRegistrationRepeatedAfterACrashChangesNothing(t *testing.T) {
	givenAgent(t, created()).when(registerRobot(nil)).thenNothing()
	givenAgent(t, created()).when(registerRobot(func(c *RegisterAgent) { c.Email = "other@acme.test" })).
		thenRefused(CodeAgentExists, "")
}

func TestAbandonedRegistrationNeverComesToLife(t *testing.T) {
	abandoned := givenAgent(t).when(AbandonRegistration{AgentID: robot}).then(RegistrationAbandoned{AgentID: robot})
	if abandoned.state.Exists() || !abandoned.state.Abandoned() {
		t.Errorf("after abandoning: %+v", abandoned.state)
	}
	abandoned.when(AbandonRegistration{AgentID: robot}).thenNothing()
	abandoned.when(registerRobot(nil)).thenRefused(CodeConflict, "")
	for name, cmd := range everyAgentCommand() {
		events, err := abandoned.state.Decide(cmd)
		if len(events) > 0 || (err == nil && name != "abandon") {
			t.Errorf("%s on an abandoned registration: %+v, %v", name, events, err)
		}
	}
}

func TestLivingAgentCannotBeAbandoned(t *testing.T) {
	for _, past := range [][]Event{{created()}, {created(), suspended()}, {created(), decommissioned()}} {
		givenAgent(t, past...).when(AbandonRegistration{AgentID: robot}).thenRefused(CodeAgentExists, "")
	}
}

// everyAgentCommand is one valid command of each kind, sent by the operator.
func everyAgentCommand() map[string]AgentCommand {
	return map[string]AgentCommand{
		"register":     registerRobot(nil),
		"update":       UpdateAgent{Caller: operator, Owner: ptr("another team")},
		"status":       ChangeAgentStatus{Caller: operator, Status: AgentIsSuspended},
		"decommission": DecommissionAgent{Caller: operator},
		"abandon":      AbandonRegistration{AgentID: robot},
		"generate":     GenerateCredential{Caller: operator, CredentialID: second, Verifier: verifier("new"), At: noon},
		"rotate":       RotateCredential{Caller: operator, CredentialID: first, Verifier: verifier("new"), At: noon},
		"revoke":       RevokeCredential{Caller: operator, CredentialID: first},
		"issue":        IssueToken{Proof: secretProof("s1"), TokenID: tokenID, At: noon},
		"revoke token": RevokeToken{TokenID: tokenID, ExpiresAt: noon},
	}
}

func TestRegistrationRefusesWhatIsNotValid(t *testing.T) {
	metadata := func(s string) func(*RegisterAgent) {
		return func(c *RegisterAgent) { c.Profile.Metadata = json.RawMessage(s) }
	}
	capabilities := func(list ...string) func(*RegisterAgent) {
		return func(c *RegisterAgent) { c.Profile.Capabilities = list }
	}
	email := func(s string) func(*RegisterAgent) { return func(c *RegisterAgent) { c.Email = s } }
	for name, test := range map[string]struct {
		change func(*RegisterAgent)
		field  string
	}{
		"unknown type":            {func(c *RegisterAgent) { c.Profile.AgentType = "butler" }, "agentType"},
		"unknown environment":     {func(c *RegisterAgent) { c.Profile.DeploymentEnv = "moon" }, "deploymentEnv"},
		"version not semantic":    {func(c *RegisterAgent) { c.Profile.Version = "1.4" }, "version"},
		"version with newline":    {func(c *RegisterAgent) { c.Profile.Version = "1.4.0\n" }, "version"},
		"version too long":        {func(c *RegisterAgent) { c.Profile.Version = "1.4.0-" + strings.Repeat("a", 60) }, "version"},
		"no owner":                {func(c *RegisterAgent) { c.Profile.Owner = "" }, "owner"},
		"blank owner":             {func(c *RegisterAgent) { c.Profile.Owner = " \u2003" }, "owner"},
		"owner too long":          {func(c *RegisterAgent) { c.Profile.Owner = strings.Repeat("é", 129) }, "owner"},
		"owner of two lines":      {func(c *RegisterAgent) { c.Profile.Owner = "a\nb" }, "owner"},
		"owner with escape code":  {func(c *RegisterAgent) { c.Profile.Owner = "a\x1b[31m" }, "owner"},
		"owner not UTF-8":         {func(c *RegisterAgent) { c.Profile.Owner = "a\xff" }, "owner"},
		"description too long":    {func(c *RegisterAgent) { c.Profile.Description = strings.Repeat("x", 1025) }, "description"},
		"description with NUL":    {func(c *RegisterAgent) { c.Profile.Description = "a\x00b" }, "description"},
		"capability without verb": {capabilities("resume"), "capabilities"},
		"capability upper case":   {capabilities("Resume:read"), "capabilities"},
		"capability too long":     {capabilities("resume:" + strings.Repeat("r", 128)), "capabilities"},
		"capability twice":        {capabilities("a:b", "c:d", "a:b"), "capabilities"},
		"too many capabilities":   {capabilities(make([]string, 65)...), "capabilities"},
		"metadata an array":       {metadata(`[1]`), "metadata"},
		"metadata null":           {metadata(`null`), "metadata"},
		"metadata not JSON":       {metadata(`{"a":`), "metadata"},
		"metadata followed":       {metadata(`{} {}`), "metadata"},
		"metadata too large":      {metadata(`{"a":"` + strings.Repeat("x", 8<<10) + `"}`), "metadata"},
		"metadata too deep":       {metadata(strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 40)), "metadata"},
		"metadata with NUL":       {metadata(`{"a":["b\u0000"]}`), "metadata"},
		"metadata with NUL key":   {metadata(`{"\u0000":1}`), "metadata"},
		"metadata huge number":    {metadata(`{"a":1e400000}`), "metadata"},
		"metadata tiny number":    {metadata(`{"a":1E-400000}`), "metadata"},
		"metadata absurd number":  {metadata(`{"a":1e99999999999999999999}`), "metadata"},
		"e-mail without host":     {email("robot"), "email"},
		"e-mail with a name":      {email("Robot <robot@acme.test>"), "email"},
		"e-mail with space":       {email(" robot@acme.test"), "email"},
		"e-mail with NUL":         {email("ro\x00bot@acme.test"), "email"},
		"e-mail zero width":       {email("ro\u200bbot@acme.test"), "email"},
		"e-mail too long":         {email(strings.Repeat("r", 250) + "@acme.test"), "email"},
		"unknown scope":           {func(c *RegisterAgent) { c.Scopes = NewScopes("root") }, "scopes"},
	} {
		t.Run(name, func(t *testing.T) {
			givenAgent(t).when(registerRobot(test.change)).thenRefused(CodeValidation, test.field)
		})
	}
}

func TestRegistrationTakesWhatIsWithinBounds(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*RegisterAgent)
		want   func(*AgentCreated)
	}{
		"longest owner": {
			func(c *RegisterAgent) { c.Profile.Owner = strings.Repeat("é", 128) },
			func(e *AgentCreated) { e.Owner = strings.Repeat("é", 128) },
		},
		"description of many lines": {
			func(c *RegisterAgent) { c.Profile.Description = "a\r\n\tb <c> & d" },
			func(e *AgentCreated) { e.Description = "a\r\n\tb <c> & d" },
		},
		"version with everything": {
			func(c *RegisterAgent) { c.Profile.Version = "1.4.0-rc.1+build.7" },
			func(e *AgentCreated) { e.Version = "1.4.0-rc.1+build.7" },
		},
		"capability with wildcard": {
			func(c *RegisterAgent) { c.Profile.Capabilities = []string{"resume:*"} },
			func(e *AgentCreated) { e.Capabilities = []string{"resume:*"} },
		},
		"e-mail abroad": {
			func(c *RegisterAgent) { c.Email = "rôbot+1@acme.test" },
			func(e *AgentCreated) { e.Email = "rôbot+1@acme.test" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := created()
			test.want(&want)
			givenAgent(t).when(registerRobot(test.change)).then(want)
		})
	}
}

func TestMetadataIsKeptInOneForm(t *testing.T) {
	for given, want := range map[string]string{
		` { "b" : 1 , "a" : [ ] } `:                `{"a":[],"b":1}`,
		`{"n":12345678901234567890,"x":1.50}`:      `{"n":12345678901234567890,"x":1.50}`,
		`{"t":"<&>"}`:                              `{"t":"\u003c\u0026\u003e"}`,
		`{"lone":"\ud800","bad":"` + "\xff" + `"}`: `{"bad":"` + "\ufffd" + `","lone":"` + "\ufffd" + `"}`,
	} {
		wanted := created()
		wanted.Metadata = json.RawMessage(want)
		givenAgent(t).when(registerRobot(func(c *RegisterAgent) { c.Profile.Metadata = json.RawMessage(given) })).then(wanted)
		updated := AgentUpdated{AgentID: robot, Metadata: ptr(json.RawMessage(want))}
		s := givenAgent(t, created()).when(UpdateAgent{Caller: colleague, Metadata: ptr(json.RawMessage(given))}).then(updated)
		s.when(UpdateAgent{Caller: colleague, Metadata: ptr(json.RawMessage(given))}).thenNothing()
	}
}

func TestTenantsStayApart(t *testing.T) {
	foreign := map[string]AgentCommand{
		"register":     registerRobot(func(c *RegisterAgent) { c.Caller = stranger }),
		"update":       UpdateAgent{Caller: stranger, Owner: ptr("us")},
		"status":       ChangeAgentStatus{Caller: stranger, Status: AgentIsSuspended},
		"decommission": DecommissionAgent{Caller: stranger},
		"generate":     GenerateCredential{Caller: stranger, CredentialID: second, Verifier: verifier("x"), At: noon},
		"rotate":       RotateCredential{Caller: stranger, CredentialID: first, Verifier: verifier("x"), At: noon},
		"revoke":       RevokeCredential{Caller: stranger, CredentialID: first},
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
		"version":      {UpdateAgent{Version: ptr("2.0.0")}, AgentUpdated{Version: ptr("2.0.0")}, func(p *Profile) { p.Version = "2.0.0" }},
		"owner":        {UpdateAgent{Owner: ptr("us")}, AgentUpdated{Owner: ptr("us")}, func(p *Profile) { p.Owner = "us" }},
		"environment":  {UpdateAgent{DeploymentEnv: &env}, AgentUpdated{DeploymentEnv: &env}, func(p *Profile) { p.DeploymentEnv = env }},
		"description":  {UpdateAgent{Description: ptr("")}, AgentUpdated{Description: ptr("")}, func(p *Profile) { p.Description = "" }},
		"publicity":    {UpdateAgent{IsPublic: ptr(true)}, AgentUpdated{IsPublic: ptr(true)}, func(p *Profile) { p.IsPublic = true }},
		"capabilities": {UpdateAgent{Capabilities: ptr([]string{"a:b"})}, AgentUpdated{Capabilities: ptr([]string{"a:b"})}, func(p *Profile) { p.Capabilities = []string{"a:b"} }},
		"no capabilities": {
			UpdateAgent{Capabilities: ptr([]string(nil))}, AgentUpdated{Capabilities: ptr([]string{})},
			func(p *Profile) { p.Capabilities = []string{} },
		},
		"metadata": {
			UpdateAgent{Metadata: ptr(json.RawMessage(`{}`))}, AgentUpdated{Metadata: ptr(json.RawMessage(`{}`))},
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
		"version":       {{Version: ptr("")}},
		"owner":         {{Owner: ptr("")}},
		"description":   {{Description: ptr("\x07")}},
		"capabilities":  {{Capabilities: ptr([]string{"x"})}},
		"metadata":      {{Metadata: ptr(json.RawMessage(`3`))}},
		"status":        {{Status: &status}, {Status: &abandoned}, {Status: &status, Owner: ptr("a new one")}},
		"reason":        {{Status: ptr(AgentIsSuspended), Reason: strings.Repeat("x", 257)}, {Status: ptr(AgentIsSuspended), Reason: "a\nb"}},
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
	givenAgent(t, past).when(UpdateAgent{Caller: colleague, Status: ptr(AgentIsSuspended), Reason: "odd behaviour"}).then(suspended())
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
	s := givenAgent(t, created(), AgentUpdated{AgentID: robot, Owner: ptr("us")}) // edition 2
	want := AgentUpdated{AgentID: robot, Owner: ptr("them")}
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
				when(UpdateAgent{Caller: colleague, Owner: ptr("them"), IfEdition: test.editions})
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
