package api_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api"
	"github.com/sentryagent/agentidp/api/policy"
	"github.com/sentryagent/agentidp/domain"
)

func TestEveryRouteIsDescribedAndEveryDescriptionServed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	rules, err := policy.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	served, err := api.New(api.WriteSide{}, api.ReadSide{},
		api.Surroundings{Keys: s.keyring(t), Policy: rules, Registry: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)},
		api.Options{SigningAlg: "ES256", Issuer: s.base, PublicURL: s.base, DID: func(domain.AgentID) string { return "" }, Delegation: true},
	)
	if err != nil {
		t.Fatal(err)
	}
	if extra, missing := s.description.Undescribed(served.Routes()), s.description.Unserved(served.Routes()); len(extra)+len(missing) > 0 {
		t.Errorf("served but not described: %v; described but not served: %v", extra, missing)
	}
	for _, o := range s.description.operations() { // and the server that runs is no other
		path := strings.NewReplacer("{orgId}", uuid.NewString(), "{agentId}", uuid.NewString(), "{credentialId}", uuid.NewString(),
			"{eventId}", uuid.NewString(), "{chainId}", uuid.NewString(), "{asset}", "docs.css").Replace(o.path)
		answer, err := s.do(request{method: o.method, path: path})
		if err != nil || answer.status == 405 || answer.code() == "NOT_FOUND" {
			t.Errorf("%s: %d %s (%v)", o, answer.status, answer.body, err)
		}
	}
}

// The scopes that openapi.yaml tells of are those that the policy asks for.
func TestThePolicyAsksForTheDescribedScopes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("policy/scopes.json")
	if err != nil {
		t.Fatal(err)
	}
	var endpoints map[string]struct{ Scopes []string }
	if err := json.Unmarshal(text, &endpoints); err != nil {
		t.Fatal(err)
	}
	described := map[string][]string{}
	for _, o := range describe(t).operations() {
		if o.Security == nil {
			continue
		}
		for _, requirement := range *o.Security {
			if scopes, bearer := requirement["oauth2"]; bearer && len(scopes) > 0 && (!isOAuth(o.path) || strings.HasPrefix(o.path, "/oauth2/")) {
				described[o.String()] = scopes
			}
		}
	}
	asked := map[string][]string{}
	for endpoint, rule := range endpoints {
		if len(rule.Scopes) > 0 { // without, any token will do
			asked[endpoint] = rule.Scopes
		}
	}
	if diff := cmp.Diff(described, asked); diff != "" {
		t.Errorf("scopes -described +asked for:\n%s", diff)
	}
}

// What is published is what answers are held to.
func TestOpenAPIIsServedAsItIs(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	answer := s.must(t, get("", "/openapi.json"), 200, "")
	var served struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
		Servers []struct{ URL string }    `json:"servers"`
	}
	if err := json.Unmarshal(answer.body, &served); err != nil {
		t.Fatal(err)
	}
	if len(served.Servers) != 1 || served.Servers[0].URL != s.base || !strings.Contains(string(answer.body), `"tokenUrl":"`+s.base+`/oauth2/token"`) {
		t.Errorf("servers %v, want PUBLIC_URL there and in tokenUrl", served.Servers)
	}
	var operations []string
	for path, item := range served.Paths {
		for method := range item {
			if method != "parameters" {
				operations = append(operations, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(operations)
	var want []string
	for _, o := range s.description.operations() {
		want = append(want, o.String())
	}
	if diff := cmp.Diff(want, operations); diff != "" || served.OpenAPI != "3.0.3" {
		t.Errorf("version %s, operations -want +got:\n%s", served.OpenAPI, diff)
	}
	s.must(t, get("", "/openapi.json").with("If-None-Match", answer.header.Get("ETag")), http.StatusNotModified, "")
}

// The page at /docs needs nothing from elsewhere, and everything it needs is there.
func TestDocsAreServedWhole(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	page := string(s.must(t, get("", "/docs"), 200, "").body)
	found := 0
	for quoted := range strings.SplitSeq(page, `"`) {
		if strings.HasPrefix(quoted, "docs/") {
			found++
			s.must(t, get("", "/"+quoted).with("Accept-Encoding", "gzip"), 200, "")
		}
		if strings.HasPrefix(quoted, "http") {
			t.Errorf("the page refers to %s", quoted)
		}
	}
	if found == 0 {
		t.Errorf("the page refers to none of its assets:\n%s", page)
	}
}
