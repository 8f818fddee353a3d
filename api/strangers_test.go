package api_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// bodies are what the operations with an id need to get past validation.
var bodies = map[string]any{
	"PATCH /api/v1/agents/{agentId}":                                  map[string]any{"owner": "mallory"},
	"POST /api/v1/agents/{agentId}/credentials":                       map[string]any{},
	"POST /api/v1/agents/{agentId}/credentials/rotate":                map[string]any{},
	"POST /api/v1/agents/{agentId}/credentials/{credentialId}/rotate": map[string]any{},
	"POST /api/v1/agents/{agentId}/did/keys":                          map[string]any{},
	"PATCH /api/v1/organizations/{orgId}":                             map[string]any{"name": "Mallory"},
	"PUT /api/v1/organizations/{orgId}/tier":                          map[string]any{"tier": "pro", "reason": "mine"},
	"POST /api/v1/organizations/{orgId}/members":                      map[string]any{"agentId": uuid.Nil.String(), "role": "admin"},
	"POST /api/v1/agents/{agentId}/revoke-all":                        map[string]any{"reason": "mine"},
	"POST /api/v1/organizations/{orgId}/revoke-all":                   map[string]any{"reason": "mine", "credentials": true},
	"PUT /api/v1/organizations/{orgId}/members/{agentId}":             map[string]any{"role": "admin"},
}

// TestForeignAndUnknownIdsAreAnsweredAlike goes over every operation that takes
// an id, by its path: a tenant learns nothing from it about what it does not own.
// A new one is in the table because it is in the document.
func TestForeignAndUnknownIdsAreAnsweredAlike(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	mallory, victim := s.tenant(t), s.tenant(t)
	second := s.agent(t, victim.organization, tenantScopes)
	link := s.must(t, post(victim.token, "/oauth2/token/delegate", map[string]any{
		"delegateeAgentId": second.id, "scopes": []string{"agents:read"}, "ttlSeconds": 600,
	}), 201, "").text("chainId")
	admin := map[string]any{"agentId": mallory.id, "role": "admin"}
	s.must(t, post(s.operator, "/api/v1/organizations/"+mallory.organization+"/members", admin), 201, "")

	foreign := map[string]string{
		"agentId": victim.id, "credentialId": victim.credential, "eventId": victim.event, "orgId": victim.organization, "chainId": link,
	}
	before := s.state(t, victim)
	tried := 0
	for _, o := range s.description.operations() {
		if !strings.Contains(o.path, "{") || o.Security != nil && len(*o.Security) == 0 {
			continue // without an id, or open to everybody
		}
		if strings.Contains(o.path, "{partnerId}") {
			continue // for the operator alone: TestPartnersAreTheOperators
		}
		if o.OperationID == "resolveDid" {
			continue // DID documents are everybody's
		}
		tried++
		ask := func(ids map[string]string) answer {
			path := o.path
			for name, id := range ids {
				path = strings.ReplaceAll(path, "{"+name+"}", id)
			}
			if strings.Contains(path, "{") {
				t.Errorf("%s: this test has no id for it: add one", o)
			}
			if strings.HasSuffix(path, "/consistency") {
				path += "?from=1"
			}
			a, err := s.do(request{method: o.method, path: path, token: mallory.token, json: bodies[o.String()]})
			if err != nil {
				t.Fatalf("%s: %v", o, err)
			}
			return a
		}
		nowhere := map[string]string{}
		for name := range foreign {
			nowhere[name] = uuid.Must(uuid.NewV7()).String()
		}
		mustBeAlike(t, o.String(), ask(foreign), ask(nowhere))
		if strings.Count(o.path, "{") > 1 { // and the last id below a first one that is the caller's own
			ownForeign, ownNowhere := ownFirst(o.path, foreign, mallory), ownFirst(o.path, nowhere, mallory)
			mustBeAlike(t, o.String()+" below one's own", ask(ownForeign), ask(ownNowhere))
		}
	}
	if tried < 20 {
		t.Errorf("only %d operations with an id were tried", tried)
	}
	for _, kind := range []string{"/api/v1/agents?organizationId=", "/api/v1/audit?organizationId=", "/api/v1/tiers/status?organizationId="} {
		a, _ := s.do(get(mallory.token, kind+victim.organization))
		b, _ := s.do(get(mallory.token, kind+uuid.NewString()))
		mustBeAlike(t, kind, a, b)
	}
	register := func(organization string) answer {
		a, _ := s.do(post(mallory.token, "/api/v1/agents", newAgentBody(organization, "agents:read")))
		return a
	}
	mustBeAlike(t, "registering elsewhere", register(victim.organization), register(uuid.NewString()))
	lend := func(to string) answer {
		wish := map[string]any{"delegateeAgentId": to, "scopes": []string{"agents:read"}, "ttlSeconds": 600}
		return s.must(t, post(mallory.token, "/oauth2/token/delegate", wish), 400, "CROSS_TENANT_DELEGATION")
	}
	if diff := cmp.Diff(shown(lend(victim.id)), shown(lend(uuid.NewString()))); diff != "" {
		t.Errorf("lending: -to another tenant's +to nobody:\n%s", diff)
	}
	if diff := cmp.Diff(before, s.state(t, victim)); diff != "" {
		t.Errorf("the victim's things changed -before +after:\n%s", diff)
	}
}

// ownFirst has the tenant's own id for the first name in the path.
func ownFirst(path string, ids map[string]string, n tenant) map[string]string {
	mixed := map[string]string{}
	maps.Copy(mixed, ids)
	if strings.Contains(path, "/organizations/{orgId}/") {
		mixed["orgId"] = n.organization
	} else if strings.Contains(path, "/agents/{agentId}/") {
		mixed["agentId"] = n.id
	}
	return mixed
}

func mustBeAlike(t *testing.T, what string, foreign, nowhere answer) {
	t.Helper()
	if foreign.status != http.StatusForbidden || foreign.code() != "AUTHORIZATION_ERROR" {
		t.Errorf("%s: another tenant's is answered %d %s, want 403 AUTHORIZATION_ERROR", what, foreign.status, foreign.body)
	}
	if diff := cmp.Diff(shown(foreign), shown(nowhere)); diff != "" {
		t.Errorf("%s: -another tenant's +nobody's:\n%s", what, diff)
	}
}

// shown is all of an answer that could tell something: the request's own id, the
// time and the count of requests left do not.
func shown(a answer) map[string]any {
	header := a.header.Clone()
	for _, name := range []string{"X-Request-Id", "Date", "X-Ratelimit-Remaining", "X-Ratelimit-Reset"} {
		header.Del(name)
	}
	return map[string]any{"status": a.status, "header": header, "body": string(a.body)}
}
