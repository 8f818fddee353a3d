package api_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// takesID tells whether a schema is that of an id, among other things perhaps.
func takesID(schema *openapi3.Schema) bool {
	return schema.Format == "uuid" || slices.ContainsFunc(schema.OneOf, func(s *openapi3.SchemaRef) bool { return takesID(s.Value) })
}

// An id that is none is refused by every filter of every list, and the refusal
// names the filter and what an id looks like.
func TestFiltersRefuseWhatIsNoID(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, nil)
	one := s.agent(t, organization, "agents:read")
	fill := strings.NewReplacer("{agentId}", one.id, "{orgId}", organization)
	seen := map[string]bool{}
	for path, item := range describe(t).document.Paths.Map() {
		operation := item.Get
		if operation == nil {
			continue
		}
		for _, parameter := range operation.Parameters {
			filter := parameter.Value
			if filter.In != openapi3.ParameterInQuery || !takesID(filter.Schema.Value) {
				continue
			}
			seen[path+"?"+filter.Name] = true
			address := fill.Replace(path)
			if strings.Contains(address, "{") {
				t.Errorf("%s: what is a value of it?", path)
				continue
			}
			for _, wrong := range []string{
				"bogus", "7", "*", one.id[:35], one.id + "0", strings.ReplaceAll(one.id, "-", ""), "{" + one.id + "}", "urn:uuid:" + one.id,
				strings.Repeat("x", 36), " " + one.id[1:], one.email, "", strings.Repeat("0", 10_000),
			} {
				refused := s.must(t, get(s.operator, address+"?"+url.Values{filter.Name: {wrong}}.Encode()), http.StatusBadRequest, "VALIDATION_ERROR")
				details, _ := refused.object()["details"].(map[string]any)
				message := refused.text("message")
				if details["field"] != filter.Name || details["in"] != "query" || !strings.HasPrefix(message, filter.Name+" ") ||
					wrong != "" && !strings.Contains(message, "a UUID, such as 0") || len(wrong) > 1 && strings.Contains(message, wrong) {
					t.Errorf("%s?%s=%.40q: %s", path, filter.Name, wrong, refused.body)
				}
			}
			twice := s.must(t, get(s.operator, address+"?"+filter.Name+"="+one.id+"&"+filter.Name+"="+one.id), http.StatusBadRequest, "VALIDATION_ERROR")
			if details, _ := twice.object()["details"].(map[string]any); details["field"] != filter.Name {
				t.Errorf("%s?%s twice: %s", path, filter.Name, twice.body)
			}
			known := one.id
			if filter.Name == "organizationId" {
				known = organization
			}
			answered := http.StatusOK
			if operation.Responses.Value("308") != nil {
				answered = http.StatusPermanentRedirect
			}
			s.must(t, get(s.operator, address+"?"+filter.Name+"="+strings.ToUpper(known)), answered, "")
		}
	}
	for _, known := range []string{"/api/v1/audit?actor", "/api/v1/audit?agentId", "/api/v1/audit?onBehalfOf", "/api/v1/delegations?agentId", "/api/v1/agents?organizationId"} {
		if !seen[known] {
			t.Errorf("%s is not among the filters: %v", known, seen)
		}
	}
	kinds := s.must(t, get(s.operator, "/api/v1/audit?actor=bogus"), http.StatusBadRequest, "VALIDATION_ERROR").text("message")
	if want := "actor must be a UUID, such as 019a3f60-1d2e-7a3b-8c4d-6f5e4d3c2b1a, or one of agent, trust_policy, system, anonymous"; kinds != want {
		t.Errorf("says %q, want %q", kinds, want)
	}
}
