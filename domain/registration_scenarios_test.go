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
		updated := AgentUpdated{AgentID: robot, Metadata: new(json.RawMessage(want))}
		s := givenAgent(t, created()).when(UpdateAgent{Caller: colleague, Metadata: new(json.RawMessage(given))}).then(updated)
		s.when(UpdateAgent{Caller: colleague, Metadata: new(json.RawMessage(given))}).thenNothing()
	}
}
