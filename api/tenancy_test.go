package api_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// tenant is an organization with an agent in it that may do all that a tenant
// may, and one of its audit events.
type tenant struct {
	agent
	token string
	event string
}

func (s *scene) tenant(tb testing.TB) tenant {
	tb.Helper()
	n := tenant{agent: s.agent(tb, s.organization(tb, nil), tenantScopes)}
	n.token = s.token(tb, n.agent, "")
	events := s.must(tb, get(n.token, "/api/v1/audit?limit=1"), 200, "").list("data")
	n.event, _ = events[0]["eventId"].(string)
	return n
}

// lastAuthAt is where lists may lag: nobody's command waits for it.
var lastAuthAt = regexp.MustCompile(`"lastAuthAt":("[^"]*"|null),`)

// state is all that can be seen of a tenant.
func (s *scene) state(tb testing.TB, n tenant) map[string]string {
	tb.Helper()
	seen := map[string]string{}
	for _, path := range []string{
		"/api/v1/organizations/" + n.organization,
		"/api/v1/agents?organizationId=" + n.organization,
		n.path(),
		n.path() + "/credentials",
		"/api/v1/audit?limit=100&organizationId=" + n.organization,
	} {
		seen[path] = lastAuthAt.ReplaceAllString(string(s.must(tb, get(s.operator, path), 200, "").body), "")
	}
	return seen
}

// refusedRequest is a request and how it is refused.
type refusedRequest struct {
	name string
	request
	status int
	code   string
}

// everyVerb is every verb on every kind of thing that has an id.
func everyVerb(organization, agent, credential, event string) []refusedRequest {
	own, status := "/api/v1/agents/"+agent, 0
	org := "/api/v1/organizations/" + organization
	return []refusedRequest{
		{"get agent", get("", own), status, "AGENT_NOT_FOUND"},
		{"change agent", patch("", own, map[string]any{"owner": "mallory"}), status, "AGENT_NOT_FOUND"},
		{"suspend agent", patch("", own, map[string]any{"status": "suspended"}), status, "AGENT_NOT_FOUND"},
		{"decommission agent", remove("", own), status, "AGENT_NOT_FOUND"},
		{"generate credential", post("", own+"/credentials", map[string]any{}), status, "AGENT_NOT_FOUND"},
		{"list credentials", get("", own+"/credentials"), status, "AGENT_NOT_FOUND"},
		{"rotate newest credential", post("", own+"/credentials/rotate", map[string]any{}), status, "AGENT_NOT_FOUND"},
		{"rotate credential", post("", own+"/credentials/"+credential+"/rotate", map[string]any{}), status, "AGENT_NOT_FOUND"},
		{"revoke credential", remove("", own+"/credentials/"+credential), status, "AGENT_NOT_FOUND"},
		{"get audit event", get("", "/api/v1/audit/"+event), status, "NOT_FOUND"},
		{"prove audit event", get("", "/api/v1/audit/"+event+"/proof"), status, "NOT_FOUND"},
		{"prove audit event in the ledger", get("", "/api/v1/audit/"+event+"/proof?log=ledger"), status, "NOT_FOUND"},
		{"sign the log of organization", get("", org+"/checkpoint"), status, "ORG_NOT_FOUND"},
		{"prove that its log grew", get("", org+"/consistency?from=1"), status, "ORG_NOT_FOUND"},
		{"get agent as it was", get("", "/api/v1/audit/state/"+agent), status, "AGENT_NOT_FOUND"},
		{"list agents of organization", get("", "/api/v1/agents?organizationId="+organization), status, "ORG_NOT_FOUND"},
		{"list audit of organization", get("", "/api/v1/audit?organizationId="+organization), status, "ORG_NOT_FOUND"},
		{"register agent in organization", post("", "/api/v1/agents", newAgentBody(organization, "")), status, "ORG_NOT_FOUND"},
		{"get organization", get("", org), status, "ORG_NOT_FOUND"},
		{"change organization", patch("", org, map[string]any{"name": "Mallory"}), status, "ORG_NOT_FOUND"},
		{"suspend organization", patch("", org, map[string]any{"status": "suspended"}), status, "ORG_NOT_FOUND"},
		{"delete organization", remove("", org), status, "ORG_NOT_FOUND"},
	}
}

// TestAnotherOrganizationsThingsAreOutOfReach is the table of tenant isolation.
func TestAnotherOrganizationsThingsAreOutOfReach(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	mallory, victim := s.tenant(t), s.tenant(t)
	before := s.state(t, victim)
	for _, r := range everyVerb(victim.organization, victim.id, victim.credential, victim.event) {
		r.token = mallory.token
		if _, err := s.want(r.request, 403, "AUTHORIZATION_ERROR"); err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
	}
	for name, r := range map[string]request{
		"rotate a credential through an own agent": post(mallory.token, mallory.path()+"/credentials/"+victim.credential+"/rotate", map[string]any{}),
		"revoke a credential through an own agent": remove(mallory.token, mallory.path()+"/credentials/"+victim.credential),
	} {
		if _, err := s.want(r, 403, "AUTHORIZATION_ERROR"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if diff := cmp.Diff(before, s.state(t, victim)); diff != "" {
		t.Errorf("the victim's things changed -before +after:\n%s", diff)
	}
	s.must(t, get(victim.token, "/api/v1/agents"), 200, "")
	s.must(t, tokenRequest(victim.agent, ""), 200, "")
}

// The same verbs on ids that exist nowhere are answered 404, to the operator. To
// others the answer is as for another organization's, see strangers_test.go.
func TestWhatDoesNotExistIsNotFound(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	before := s.head(t)
	nowhere := everyVerb(uuid.NewString(), uuid.NewString(), uuid.NewString(), uuid.NewString())
	for _, r := range nowhere {
		r.token = s.operator
		if _, err := s.want(r.request, 404, r.code); err != nil {
			t.Errorf("operator: %s: %v", r.name, err)
		}
		r.token = n.token
		if _, err := s.want(r.request, 403, "AUTHORIZATION_ERROR"); err != nil {
			t.Errorf("tenant: %s: %v", r.name, err)
		}
	}
	for token, want := range map[string]refusedRequest{
		s.operator: {status: 404, code: "CREDENTIAL_NOT_FOUND"}, n.token: {status: 403, code: "AUTHORIZATION_ERROR"},
	} {
		s.must(t, post(token, n.path()+"/credentials/"+uuid.NewString()+"/rotate", map[string]any{}), want.status, want.code)
		s.must(t, remove(token, n.path()+"/credentials/"+uuid.NewString()), want.status, want.code)
	}
	member := map[string]any{"agentId": uuid.NewString(), "role": "admin"}
	s.must(t, post(s.operator, "/api/v1/organizations/"+n.organization+"/members", member), 404, "AGENT_NOT_FOUND")
	member["agentId"] = n.id
	s.must(t, post(s.operator, "/api/v1/organizations/"+uuid.NewString()+"/members", member), 404, "ORG_NOT_FOUND")
	if after := s.head(t); after != before {
		t.Errorf("the ledger went from %v to %v", before, after)
	}
}

func TestListsNeverWiden(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n, other := s.tenant(t), s.tenant(t)
	second := s.agent(t, n.organization, "agents:read")
	for path, want := range map[string][]string{
		"/api/v1/agents": {second.id, n.id},
		"/api/v1/agents?organizationId=" + n.organization:    {second.id, n.id},
		"/api/v1/agents?owner=talent-team":                   {second.id, n.id},
		"/api/v1/agents?limit=1&page=2":                      {n.id},
		"/api/v1/agents?limit=1&page=3":                      {},
		"/api/v1/agents?owner=somebody-else":                 {},
		"/api/v1/agents?status=suspended":                    {},
		"/api/v1/agents?agentType=screener&status=active":    {second.id, n.id},
		"/api/v1/agents?agentType=router":                    {},
		"/api/v1/agents?page=1000000&limit=100":              {},
		"/api/v1/agents?owner=" + strings.Repeat("%25", 100): {},
	} {
		if got := texts(s.must(t, get(n.token, path), 200, "").list("data"), "agentId"); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	for _, event := range s.must(t, get(n.token, "/api/v1/audit?limit=100"), 200, "").list("data") {
		if event["organizationId"] != n.organization {
			t.Errorf("event of organization %v in the trail of %s", event["organizationId"], n.organization)
		}
	}
	if got := s.must(t, get(n.token, "/api/v1/audit?agentId="+other.id), 200, "").number("total"); got != 0 {
		t.Errorf("%v events about another tenant's agent, want none", got)
	}
	if got := texts(s.must(t, get(s.operator, "/api/v1/agents"), 200, "").list("data"), "organizationId"); !slices.Equal(slices.Compact(got), []string{s.root.organization}) {
		t.Errorf("the operator, naming nobody, sees agents of %v", got)
	}
}

func TestTheOperatorActsAnywhereByNamingIt(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n := s.tenant(t)
	registered := s.must(t, post(s.operator, "/api/v1/agents", newAgentBody(n.organization, "agents:read")), 201, "")
	own := registered.header.Get("Location")
	if own != "/api/v1/agents/"+registered.text("agentId") {
		t.Errorf("Location %q", own)
	}
	if got := registered.text("organizationId"); got != n.organization {
		t.Errorf("registered in %s, want %s", got, n.organization)
	}
	if total := s.must(t, get(s.operator, "/api/v1/agents?organizationId="+n.organization), 200, "").number("total"); total != 2 {
		t.Errorf("%v agents, want 2", total)
	}
	org := "/api/v1/organizations/" + n.organization
	s.must(t, get(s.operator, own), 200, "")
	s.must(t, patch(s.operator, own, map[string]any{"owner": "platform"}), 200, "")
	s.must(t, get(s.operator, "/api/v1/audit/"+n.event), 200, "")
	s.must(t, get(s.operator, "/api/v1/audit?organizationId="+n.organization), 200, "")
	s.must(t, patch(s.operator, org, map[string]any{"name": "Acme International"}), 200, "")
	s.must(t, remove(s.operator, own), 204, "")
	list := s.must(t, get(s.operator, "/api/v1/organizations?limit=100"), 200, "")
	if ids := texts(list.list("data"), "organizationId"); len(ids) != 2 || ids[0] != n.organization || ids[1] != s.root.organization {
		t.Errorf("organizations %v, want the newest first", ids)
	}
}

func TestAnOrganizationsOwnAdminsReadAndRenameIt(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	n, other := s.tenant(t), s.tenant(t)
	plain := s.agent(t, n.organization, "agents:read")
	plainToken := s.token(t, plain, "")
	org := "/api/v1/organizations/" + n.organization
	s.must(t, get(n.token, org), 403, "INSUFFICIENT_SCOPE") // no member yet
	for _, member := range []struct{ id, role string }{{n.id, "admin"}, {plain.id, "member"}} {
		body := map[string]any{"agentId": member.id, "role": member.role}
		s.must(t, post(n.token, org+"/members", body), 403, "INSUFFICIENT_SCOPE")
		s.must(t, post(s.operator, org+"/members", body), 201, "")
		s.must(t, post(s.operator, org+"/members", body), 409, "ALREADY_MEMBER")
	}
	s.must(t, post(s.operator, org+"/members", map[string]any{"agentId": other.id, "role": "admin"}), 403, "AUTHORIZATION_ERROR")

	s.must(t, get(n.token, org), 200, "")
	renamed := s.must(t, patch(n.token, org, map[string]any{"name": "New Acme"}), 200, "")
	if renamed.text("name") != "New Acme" {
		t.Errorf("renamed to %s", renamed.body)
	}
	for _, change := range []map[string]any{
		{"planTier": "free"}, {"maxAgents": 1000}, {"maxAgents": nil}, {"unset": []string{"maxAgents"}}, {"maxTokensPerMonth": 1000}, {"status": "suspended"},
		{"name": "Mallory", "planTier": "pro"},
	} {
		s.must(t, patch(n.token, org, change), 403, "INSUFFICIENT_SCOPE")
	}
	s.must(t, remove(n.token, org), 403, "INSUFFICIENT_SCOPE")
	for name, token := range map[string]string{"a plain member": plainToken, "another organization": other.token} {
		code := "INSUFFICIENT_SCOPE"
		if token == other.token {
			code = "AUTHORIZATION_ERROR"
		}
		for _, r := range []request{get(token, org), patch(token, org, map[string]any{"name": "Mallory"})} {
			if _, err := s.want(r, 403, code); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if now := s.must(t, get(s.operator, org), 200, ""); now.text("name") != "New Acme" || now.text("planTier") != "enterprise" {
		t.Errorf("the organization is now %s", now.body)
	}
}

func TestSlugsAreUniqueAndNeverChange(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	slug := "acme-" + unique()
	id := s.organization(t, map[string]any{"slug": slug, "planTier": "pro", "maxAgents": 7})
	s.must(t, post(s.operator, "/api/v1/organizations", map[string]any{"name": "Second", "slug": slug}), 409, "ORG_SLUG_TAKEN")
	s.must(t, patch(s.operator, "/api/v1/organizations/"+id, map[string]any{"slug": "other"}), 400, "VALIDATION_ERROR")
	for _, bad := range []string{"", "a", "A-b", "-a", "a-", "a--b", "a_b", "ä-b", strings.Repeat("a", 65)} {
		s.must(t, post(s.operator, "/api/v1/organizations", map[string]any{"name": "Bad", "slug": bad}), 400, "VALIDATION_ERROR")
	}
	for _, change := range []struct {
		body map[string]any
		want string
	}{
		{map[string]any{"maxAgents": nil}, "<nil>"},
		{map[string]any{"maxAgents": 0}, "0"},
		{map[string]any{"maxAgents": 9, "planTier": "free"}, "9"},
		{map[string]any{"unset": []string{"maxAgents"}, "planTier": "pro"}, "<nil>"},
	} {
		if got := fmt.Sprint(s.must(t, patch(s.operator, "/api/v1/organizations/"+id, change.body), 200, "").object()["maxAgents"]); got != change.want {
			t.Errorf("%v: maxAgents %s, want %s", change.body, got, change.want)
		}
	}
}
