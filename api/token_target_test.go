package api_test

import (
	"maps"
	"net/url"
	"testing"
)

// RFC 8707 and RFC 8693 section 2.1: what a token is asked for it is for, to
// the letter, or it is not given.
func TestTargetsAreHonouredOrRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := newLoan(t, s)
	clientCredentials := tokenRequest(p.delegatee, "")
	exchange := exchangeRequest(p.ofDelegatee, p.delegation, "")
	for _, test := range []struct {
		name                string
		resources, audience []string
		want                string // aud; empty: invalid_target
	}{
		{"none", nil, nil, s.base},
		{"a resource", []string{"https://api.example/v1"}, nil, "https://api.example/v1"},
		{"an audience", nil, []string{"https://api.example/v1/"}, "https://api.example/v1/"},
		{"both the same", []string{"https://api.example"}, []string{"https://api.example"}, "https://api.example"},
		{"a URN", []string{"urn:example:api"}, nil, "urn:example:api"},
		{"loopback", []string{"http://127.0.0.1:9/x"}, nil, "http://127.0.0.1:9/x"},
		{"this server", []string{s.base}, nil, s.base},
		{"this server with a slash", nil, []string{s.base + "/"}, s.base + "/"},
		{"contradictory", []string{"https://a.example"}, []string{"https://b.example"}, ""},
		{"two resources", []string{"https://a.example", "https://b.example"}, nil, ""},
		{"two audiences", nil, []string{"https://a.example", "https://b.example"}, ""},
		{"a name", nil, []string{"my-api"}, ""},
		{"plain http", []string{"http://api.example"}, nil, ""},
		{"an empty fragment", []string{"https://a.example/#"}, nil, ""},
		{"a user", []string{"https://u:p@a.example/"}, nil, ""},
		{"a script", []string{"javascript://a.example/x"}, nil, ""},
		{"not ASCII", []string{"https://\u0430.example"}, nil, ""},
		{"a space", []string{"https://a.example/ x"}, nil, ""},
		{"no host", []string{"https:///x"}, nil, ""},
		{"a URN without a name", []string{"urn:x"}, nil, ""},
		{"relative", []string{"/api"}, nil, ""},
	} {
		for _, r := range []request{clientCredentials, exchange} {
			form := url.Values{}
			maps.Copy(form, r.form)
			form["resource"], form["audience"] = test.resources, test.audience
			r.form = form
			if test.want == "" {
				if answer, err := s.want(r, 400, "invalid_target"); err != nil || answer.text("error_description") == "" {
					t.Errorf("%s, %s: %v", test.name, form.Get("grant_type"), err)
				}
				continue
			}
			answer, err := s.want(r, 200, "")
			if err != nil {
				t.Errorf("%s, %s: %v", test.name, form.Get("grant_type"), err)
				continue
			}
			var claims accessClaims
			part(t, answer.text("access_token"), 1, &claims)
			if claims.Audience != test.want {
				t.Errorf("%s, %s: aud %q, want %q", test.name, form.Get("grant_type"), claims.Audience, test.want)
			}
		}
	}
	withSlash := clientCredentials
	withSlash.form = url.Values{"grant_type": {grant}, "resource": {s.base + "/"}}
	token := s.must(t, withSlash, 200, "").text("access_token")
	s.must(t, get(token, "/api/v1/agents"), 200, "")
	again := exchangeRequest(token, p.delegation, "") // and as an actor token
	s.must(t, again, 200, "")
	twice := clientCredentials
	twice.form = url.Values{"grant_type": {grant}, "scope": {"agents:read", "agents:read"}}
	s.must(t, twice, 400, "invalid_request")
}
