package api_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

// RFC 6750 section 3.1 and RFC 9728 section 5.1.
func TestBearerChallengesLeadToTheMetadata(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "webhooks:read")
	plain := `Bearer realm="agentidp", resource_metadata="` + s.base + `/.well-known/oauth-protected-resource"`
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(a.id+":"+a.secret))
	for _, test := range []struct {
		name string
		r    request
		want string
	}{
		{"nothing sent", get("", "/api/v1/agents"), plain},
		{"another scheme", get("", "/api/v1/agents").with("Authorization", basic), plain},
		{"a token of no use", get("rubbish", "/api/v1/agents"), plain + `, error="invalid_token"`},
		{"a delegation endpoint", post("", "/oauth2/token/delegate", map[string]any{}), plain},
		{"introspection", request{method: http.MethodPost, path: "/oauth2/introspect", token: "rubbish", form: tokenForm("token", "x").form}, plain + `, error="invalid_token"`},
	} {
		answer, err := s.do(test.r)
		if got := answer.header.Get("WWW-Authenticate"); err != nil || answer.status != 401 || got != test.want {
			t.Errorf("%s: %d %s, want %s (%v)", test.name, answer.status, got, test.want, err)
		}
		if body := string(answer.body); strings.Contains(body, `\u003c`) {
			t.Errorf("%s: escaped: %s", test.name, body)
		}
	}
	poor := s.must(t, get(s.token(t, a, ""), "/api/v1/agents"), 403, "INSUFFICIENT_SCOPE")
	if got, want := poor.header.Get("WWW-Authenticate"), plain+`, error="insufficient_scope", scope="agents:read"`; got != want {
		t.Errorf("challenge %s, want %s", got, want)
	}
}

// RFC 9110 section 11.4: any number of spaces may follow the scheme.
func TestSpacesAfterTheSchemeDoNotMatter(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	basic := base64.StdEncoding.EncodeToString([]byte(a.id + ":" + a.secret))
	token := s.must(t, tokenForm("grant_type", grant).with("Authorization", "basic   "+basic), 200, "").text("access_token")
	s.must(t, get("", "/api/v1/agents").with("Authorization", "Bearer   "+token), 200, "")
	twice := tokenForm("grant_type", grant).with("Authorization", "Basic "+basic, "Authorization", "Basic "+basic)
	s.must(t, twice, 401, "invalid_client")
}

// Many clients read only what says that it is JSON, and old caches only Pragma.
func TestAnswersOfTheOAuthEndpointsSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read tokens:read")
	issued := s.must(t, tokenRequest(a, ""), 200, "")
	token := issued.text("access_token")
	form := func(path string) request {
		return request{method: http.MethodPost, path: path, basic: &a, form: tokenForm("token", token).form}
	}
	for name, answer := range map[string]answer{
		"token": issued, "introspection": s.must(t, form("/oauth2/introspect"), 200, ""), "revocation": s.must(t, form("/oauth2/revoke"), 200, ""),
		"revoked again": s.must(t, form("/api/v1/token/revoke"), 200, ""),
		"refused":       s.must(t, tokenForm("grant_type", "x"), 400, ""), "unknown": s.must(t, get("", "/oauth2/nothing"), 404, ""),
		"not JSON": s.must(t, post("", "/oauth2/token", map[string]any{}), 400, ""),
	} {
		if media := answer.header.Get("Content-Type"); !strings.HasPrefix(media, "application/json") || answer.header.Get("Pragma") != "no-cache" {
			t.Errorf("%s: Content-Type %q, Pragma %q", name, media, answer.header.Get("Pragma"))
		}
	}
}

// RFC 3339 section 5.6, and what becomes of a plus in a query.
func TestTimesAreReadInLowerCaseAndAPlusIsExplained(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, query := range []string{"fromDate=2026-11-27t00:00:00z", "fromDate=2026-11-27T00:00:00%2B02:00", "fromDate=2026-11-27t00:00:00.5-02:00"} {
		s.must(t, get(s.operator, "/api/v1/audit?"+query), 200, "")
	}
	refused := s.must(t, get(s.operator, "/api/v1/audit?fromDate=2026-11-27T00:00:00+02:00"), 400, "VALIDATION_ERROR")
	if !strings.Contains(refused.text("message"), "%2B") {
		t.Errorf("no hint at the plus: %s", refused.body)
	}
	a := s.agent(t, s.organization(t, nil), "agents:read")
	s.must(t, post(s.operator, a.path()+"/credentials", map[string]any{"expiresAt": "2099-01-01t00:00:00z"}), 201, "")
}
