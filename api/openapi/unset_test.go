package openapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Generated clients leave null out of what they send, so every PATCH takes the
// names of what is to be null.
func TestUnsetIsNull(t *testing.T) {
	spec := mustLoadSpec(t)
	for key, o := range spec.operations {
		if key.method == http.MethodPatch && o.body.schema.Properties["unset"] == nil {
			t.Errorf("%s %s takes no unset", key.method, key.pattern)
		}
	}
	for sent, want := range map[string]string{
		`{"unset":["maxAgents","maxCallsPerDay"],"name":"n<"}`: `{"maxAgents":null,"maxCallsPerDay":null,"name":"n<"}`,
		`{"unset":["maxAgents","maxAgents"]}`:                  `{"maxAgents":null}`,
		`{"unset":[],"maxAgents":999999999}`:                   `{"maxAgents":999999999}`,
	} {
		request := httptest.NewRequest(http.MethodPatch, "/api/v1/organizations/"+someAgent[15:], strings.NewReader(sent))
		request.Header.Set("Content-Type", "application/json")
		got := sendChecked(t, spec, request)
		var gotValue, wantValue any
		if err := json.Unmarshal([]byte(want), &wantValue); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(got.body), &gotValue); err != nil {
			t.Errorf("%s: the handler read %q: %v (%d %s)", sent, got.body, err, got.status, got.message)
		}
		if diff := cmp.Diff(wantValue, gotValue); diff != "" {
			t.Errorf("%s: what the handler read differs:\n%s", sent, diff)
		}
	}
}
