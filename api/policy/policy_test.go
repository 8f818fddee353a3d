package policy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sentryagent/agentidp/api/policy"
	"github.com/sentryagent/agentidp/domain"
)

func TestEndpointsNeedTheirScopes(t *testing.T) {
	p := load(t, "")
	for _, test := range []struct {
		name      string
		endpoint  string
		scopes    domain.Scopes
		relations []string
		allow     bool
		missing   string
	}{
		{"scope held", "GET /api/v1/agents", domain.NewScopes("agents:read"), nil, true, ""},
		{"scope missing", "POST /api/v1/agents", domain.NewScopes("agents:read"), nil, false, "agents:write"},
		{"no scope at all", "GET /api/v1/audit", nil, nil, false, "audit:read"},
		{"own credentials", "POST /api/v1/agents/{agentId}/credentials", nil, []string{"self"}, true, "agents:write"},
		{"foreign credentials", "POST /api/v1/agents/{agentId}/credentials", nil, nil, false, "agents:write"},
		{"self does not help elsewhere", "DELETE /api/v1/agents/{agentId}", nil, []string{"self"}, false, "agents:write"},
		{"own organization", "GET /api/v1/organizations/{orgId}", nil, []string{"member"}, true, "admin:orgs"},
		{"endpoint that is not listed", "GET /api/v1/secrets", domain.AllScopes(), []string{"self"}, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // the second answer comes from the cache
				got, err := p.Decide(t.Context(), policy.Request{Endpoint: test.endpoint, Scopes: test.scopes, Relations: test.relations})
				if err != nil {
					t.Fatal(err)
				}
				if got.Allow != test.allow || got.Missing.String() != test.missing {
					t.Errorf("%s with %v: got %+v, want allow %v missing %q", test.endpoint, test.scopes, got, test.allow, test.missing)
				}
			}
		})
	}
}

func TestDirectoryOverridesEmbeddedFiles(t *testing.T) {
	dir := t.TempDir()
	table := `{"GET /api/v1/agents": {"scopes": ["audit:read"]}}`
	if err := os.WriteFile(filepath.Join(dir, "scopes.json"), []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := load(t, dir).Decide(t.Context(), policy.Request{Endpoint: "GET /api/v1/agents", Scopes: domain.NewScopes("agents:read")})
	if err != nil || got.Allow || got.Missing.String() != "audit:read" {
		t.Errorf("got %+v, %v; want a refusal that names audit:read", got, err)
	}
}

func TestBrokenPolicyDoesNotLoad(t *testing.T) {
	for file, text := range map[string]string{"authz.rego": "package agentidp.authz\nallow if {", "scopes.json": "{"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Load(t.Context(), dir); err == nil {
			t.Errorf("broken %s was accepted", file)
		}
	}
}

func load(t *testing.T, dir string) *policy.Policy {
	t.Helper()
	p, err := policy.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
