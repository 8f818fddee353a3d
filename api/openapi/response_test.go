package openapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestResponsesAreHeldToTheDescription(t *testing.T) {
	spec := mustLoadSpec(t)
	const (
		agents    = "/api/v1/agents/:agentId"
		member    = `{"organizationId":"019a3f5e-0b6c-7f10-8a4d-5e9b7c3d2f10","agentId":"019a3f5e-7c1a-7b52-9d3e-2f6a1c0b8d41","role":"admin"}`
		refusal   = `{"code":"AGENT_NOT_FOUND","message":"there is no such agent"}`
		described = "" // no fault wanted
	)
	base := map[string]string{"X-Request-Id": "r1", "Content-Type": "application/json; charset=utf-8"}
	command := map[string]string{"X-Request-Id": "r1", "Content-Type": "application/json", "X-Ledger-Position": "7"}
	for _, test := range []struct {
		name, method, pattern string
		status                int
		header                map[string]string
		body, fault           string
	}{
		{"a refusal", "GET", agents, 404, base, refusal, described},
		{"a new member", "POST", "/api/v1/organizations/:orgId/members", 201, command, member, described},
		{"done", "DELETE", agents, 204, map[string]string{"X-Request-Id": "r1", "X-Ledger-Position": "7"}, "", described},
		{"a page", "GET", "/docs", 200, map[string]string{"X-Request-Id": "r1", "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": "x"}, "<p>", described},
		{"metrics", "GET", "/metrics", 200, map[string]string{"X-Request-Id": "r1", "Content-Type": "text/plain; version=0.0.4; charset=utf-8"}, "a 1\n", described},
		{"an unknown path", "GET", "", 404, base, refusal, described},
		{"an undescribed path", "GET", "/secret", 200, base, "{}", "is not described"},
		{"success without a path", "GET", "", 200, base, "{}", "is not described"},
		{"an undescribed status", "GET", agents, 418, base, refusal, "status is not supported"},
		{"an undescribed code", "GET", agents, 404, base, `{"code":"GONE_FISHING","message":"m"}`, "allowed values"},
		{"an undescribed field", "GET", agents, 404, base, `{"code":"NOT_FOUND","message":"m","sql":"SELECT"}`, `"sql" is unsupported`},
		{"a missing field", "GET", agents, 404, base, `{"code":"NOT_FOUND"}`, `"message" is missing`},
		{"a missing header", "POST", "/api/v1/organizations/:orgId/members", 201, base, member, `"X-Ledger-Position" missing`},
		{"no request id", "GET", agents, 404, map[string]string{"Content-Type": "application/json"}, refusal, `"X-Request-Id" missing`},
		{"another media type", "GET", agents, 404, map[string]string{"X-Request-Id": "r1", "Content-Type": "text/plain"}, "oops", "media type"},
		{"a body where none is", "DELETE", agents, 204, command, "{}", "none is described"},
		{"time without milliseconds", "GET", "/api/v1/audit/verify", 200, base, `{"verified":true,"checkedCount":1,"brokenAtEventId":null,"fromDate":"2026-11-01"}`, "fromDate"},
		{"no-store forgotten", "POST", "/oauth2/token", 400, base, `{"error":"invalid_request"}`, `"Cache-Control" missing`},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{}
			for name, value := range test.header {
				header.Set(name, value)
			}
			request := httptest.NewRequest(test.method, "/", nil)
			err := spec.ValidateResponse(request, test.pattern, test.status, header, []byte(test.body))
			switch {
			case test.fault == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("got %v, want a fault with %q", err, test.fault)
			}
		})
	}
}
