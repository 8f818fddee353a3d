package api_test

import (
	"net/http"
	"testing"

	"github.com/sentryagent/agentidp/server/servertest"
)

const assertionAlgorithms = "RS256 PS256 ES256 ES384 EdDSA Ed25519"

// RFC 8414 section 3.1, RFC 9728 section 3.1 and OpenID Connect Discovery
// section 4 each have another place for the path of an identifier.
func TestIssuersWithAPathAreFoundWhereClientsLook(t *testing.T) {
	t.Parallel()
	const base = "https://id.example.com"
	at := newServer(t, servertest.NewWorld(t, "PUBLIC_URL="+base+"/idp", "OIDC_ISSUER="+base+"/t1/x").Serve(t))
	for _, path := range []string{
		"/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/t1/x",
		"/.well-known/openid-configuration", "/.well-known/openid-configuration/t1/x", "/t1/x/.well-known/openid-configuration",
	} {
		document := at.plain(t, http.MethodGet, path)
		for field, want := range map[string]string{
			"issuer": base + "/t1/x", "token_endpoint": base + "/idp/oauth2/token", "jwks_uri": base + "/idp/.well-known/jwks.json",
			"authorization_endpoint": base + "/idp/oauth2/authorize", "introspection_endpoint": base + "/idp/oauth2/introspect",
			"revocation_endpoint": base + "/idp/oauth2/revoke", "service_documentation": base + "/idp/docs",
		} {
			if got := document.text(field); got != want {
				t.Errorf("%s: %s is %q, want %q", path, field, got, want)
			}
		}
	}
	for _, path := range []string{"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/idp"} {
		if document := at.plain(t, http.MethodGet, path); document.text("resource") != base+"/idp" ||
			words(document.object()["authorization_servers"]) != base+"/t1/x" || document.text("jwks_uri") != base+"/idp/.well-known/jwks.json" {
			t.Errorf("%s: %s", path, document.body)
		}
	}
	refused := at.must(t, get("", "/api/v1/agents"), 401, "UNAUTHORIZED")
	if got, want := refused.header.Get("WWW-Authenticate"), `Bearer realm="agentidp", resource_metadata="`+base+`/.well-known/oauth-protected-resource/idp"`; got != want {
		t.Errorf("challenge %s, want %s", got, want)
	}
	for _, path := range []string{"/t1/x/.well-known/jwks.json", "/.well-known/openid-configuration/t1", "/.well-known/oauth-protected-resource/t1/x"} {
		at.must(t, get("", path), 404, "NOT_FOUND")
	}
}

// plain sends a request to a path that openapi.yaml tells of in words alone.
func (s *server) plain(tb testing.TB, method, path string) answer {
	tb.Helper()
	plain := &server{base: s.base, http: &http.Client{}, description: s.description}
	return plain.must(tb, request{method: method, path: path}, 200, "")
}

// Clients in a browser find the server before anybody has configured their
// origin, and nobody's cache buster or tracking parameter stops them.
func TestMetadataIsOpenToEveryPageAndQuery(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, path := range []string{
		"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
		"/.well-known/oauth-protected-resource", "/.well-known/jwks.json",
	} {
		preflight := request{method: http.MethodOptions, path: path}.with("Origin", "https://inspector.example",
			"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "mcp-protocol-version")
		answer := s.must(t, preflight, 204, "")
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET, HEAD", "Access-Control-Allow-Headers": "*",
		} {
			if got := answer.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		s.must(t, request{method: http.MethodOptions, path: path}, 204, "")
		s.must(t, request{method: http.MethodHead, path: path}, 200, "")
		plain := s.must(t, get("", path), 200, "")
		for _, query := range []string{"?v=2", "?v=1&v=2", "?a;b", "?%zz"} {
			if answer := s.must(t, get("", path+query).with("Accept", "text/html", "Origin", "https://app.example"), 200, ""); string(answer.body) != string(plain.body) {
				t.Errorf("%s%s: %s", path, query, answer.body)
			}
		}
	}
	if missing := s.must(t, get("", "/.well-known/nothing"), 404, "NOT_FOUND"); missing.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("a page cannot read that there is nothing")
	}
}

// RFC 6749 section 3.2: unrecognized parameters are ignored, in the query too.
func TestQueriesOfTheTokenEndpointsAreIgnored(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.agent(t, s.organization(t, nil), "agents:read")
	r := tokenRequest(a, "")
	r.path += "?v=2&grant_type=password&access_token=x"
	token := s.must(t, r, 200, "").text("access_token")
	s.must(t, get(token, "/api/v1/agents?v=2"), 400, "VALIDATION_ERROR")
	for _, path := range []string{"/oauth2/introspect?x=1", "/oauth2/revoke?x=1&x=2"} {
		r := request{method: http.MethodPost, path: path, basic: &a, form: tokenForm("token", token).form}
		s.must(t, r, 200, "")
	}
}

// The endpoint is there for clients that refuse metadata without it. It never
// sends anybody anywhere.
func TestAuthorizationEndpointRefusesEverything(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, query := range []string{"", "?response_type=code&client_id=x&redirect_uri=https://evil.example/cb&state=s", "?response_type=token", "?a=1&a=2"} {
		for _, r := range []request{get("", "/oauth2/authorize"+query), {method: http.MethodPost, path: "/oauth2/authorize" + query, form: tokenForm("response_type", "code").form}} {
			if answer := s.must(t, r, 400, "unsupported_response_type"); answer.header.Get("Location") != "" || answer.text("error_description") == "" {
				t.Errorf("%s: %v %s", r.path, answer.header, answer.body)
			}
		}
	}
}
