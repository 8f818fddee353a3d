package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/server/servertest"
)

func TestDiscoveryDocumentsAgreeWithTheServer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		answer := s.must(t, get("", path), 200, "")
		document := answer.object()
		for field, want := range map[string]string{
			"issuer": s.base, "authorization_endpoint": s.base + "/oauth2/authorize", "token_endpoint": s.base + "/oauth2/token", "introspection_endpoint": s.base + "/oauth2/introspect",
			"revocation_endpoint": s.base + "/oauth2/revoke", "jwks_uri": s.base + "/.well-known/jwks.json",
		} {
			if document[field] != want {
				t.Errorf("%s: %s is %v, want %s", path, field, document[field], want)
			}
		}
		if got := strings.Fields(words(document["scopes_supported"])); !slices.Equal(got, strings.Fields(allScopes)) {
			t.Errorf("%s: scopes %v", path, got)
		}
		for field, want := range map[string]string{
			"response_types_supported": "code", "code_challenge_methods_supported": "S256",
			"token_endpoint_auth_signing_alg_values_supported":         assertionAlgorithms,
			"introspection_endpoint_auth_signing_alg_values_supported": assertionAlgorithms,
			"revocation_endpoint_auth_signing_alg_values_supported":    assertionAlgorithms,
		} {
			if got := words(document[field]); got != want {
				t.Errorf("%s: %s is %s, want %s", path, field, got, want)
			}
		}
		for field, value := range document {
			if list, isList := value.([]any); value == nil || value == "" || isList && len(list) == 0 {
				t.Errorf("%s: %s is %v; strict clients refuse that", path, field, value)
			}
		}
		if words(document["grant_types_supported"]) != "client_credentials urn:ietf:params:oauth:grant-type:token-exchange" ||
			words(document["token_endpoint_auth_methods_supported"]) != "client_secret_basic client_secret_post private_key_jwt" ||
			words(document["id_token_signing_alg_values_supported"]) != "RS256 ES256" {
			t.Errorf("%s: %s", path, answer.body)
		}
		mayBeKept(t, answer)
	}
	resource := s.must(t, get("", "/.well-known/oauth-protected-resource"), 200, "")
	if resource.text("resource") != s.base || words(resource.object()["authorization_servers"]) != s.base {
		t.Errorf("protected resource %s", resource.body)
	}
	mayBeKept(t, resource)
}

// mayBeKept: public, by anybody's page, for a while.
func mayBeKept(t *testing.T, a answer) {
	t.Helper()
	if a.header.Get("Cache-Control") != "public, max-age=300" || a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%s: Cache-Control %q, Access-Control-Allow-Origin %q", a.to.path, a.header.Get("Cache-Control"), a.header.Get("Access-Control-Allow-Origin"))
	}
}

func TestJWKSHoldsPublicKeysAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	answer := s.must(t, get("", "/.well-known/jwks.json"), 200, "")
	mayBeKept(t, answer)
	keys := answer.list("keys")
	if algs := texts(keys, "alg"); len(keys) != 2 || !slices.Contains(algs, "RS256") || !slices.Contains(algs, "ES256") {
		t.Errorf("keys %v, want one of each algorithm", keys)
	}
	for _, key := range keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if key[private] != nil {
				t.Errorf("key %v has the private member %s", key["kid"], private)
			}
		}
	}
	if same := s.another(t).must(t, get("", "/.well-known/jwks.json"), 200, ""); string(same.body) != string(answer.body) {
		t.Errorf("two servers publish %s and %s", answer.body, same.body)
	}
}

// state of /health and of its parts.
func (s *server) healthIs(status int, overall, database, redis, projections string) error {
	answer, err := s.want(get("", "/health"), status, "")
	if err != nil {
		return err
	}
	var body struct {
		Status string
		Checks struct{ Database, Redis, Projections struct{ Status string } }
	}
	if err := json.Unmarshal(answer.body, &body); err != nil {
		return err
	}
	got := []string{body.Status, body.Checks.Database.Status, body.Checks.Redis.Status, body.Checks.Projections.Status}
	if want := []string{overall, database, redis, projections}; !slices.Equal(got, want) {
		return fmt.Errorf("health is %v, want %v", got, want)
	}
	return nil
}

func TestHealthWithoutRedisIsDegraded(t *testing.T) {
	t.Parallel()
	s, services := onOwnRedis(t)
	if err := s.healthIs(200, "healthy", "healthy", "healthy", "healthy"); err != nil {
		t.Error(err)
	}
	if err := services.StopRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.healthIs(200, "degraded", "healthy", "unreachable", "healthy"); err != nil {
		t.Error(err)
	}
	a := s.agent(t, s.organization(t, nil), "agents:read") // it serves all the same
	s.must(t, get(s.token(t, a, ""), "/api/v1/agents"), 200, "")
	if err := services.StartRedis(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, func() error { return s.healthIs(200, "healthy", "healthy", "healthy", "healthy") })
}

// An event that nobody knows stops the read model that would have to tell of
// it, and no other.
func TestAPoisonedProjectionHaltsAndTheOthersRunOn(t *testing.T) {
	t.Parallel()
	s := newScene(t, "READ_WAIT_TIMEOUT_MS=500")
	n := s.tenant(t)
	s.append(t, "weather-1", eventstore.Draft{
		ID: uuid.New(), Type: "weather.changed", Schema: 1, Organization: uuid.MustParse(n.organization),
		Actor: eventstore.Actor{Kind: "system", ID: "test"}, Time: time.Now(), Data: json.RawMessage(`{"to":"rain"}`),
	})
	until(t, func() error { return s.healthIs(200, "degraded", "healthy", "healthy", "degraded") })
	var health struct {
		Checks struct {
			Projections struct{ Halted []struct{ Name string } }
		}
	}
	if err := json.Unmarshal(s.must(t, get("", "/health"), 200, "").body, &health); err != nil {
		t.Fatal(err)
	}
	if halted := health.Checks.Projections.Halted; len(halted) != 1 || halted[0].Name != "audit" {
		t.Errorf("halted %v, want audit alone", halted)
	}
	registered := s.must(t, post(n.token, "/api/v1/agents", newAgentBody("", "agents:read")), 201, "")
	s.must(t, get(n.token, "/api/v1/agents/"+registered.text("agentId")), 200, "")
	s.must(t, patch(n.token, n.path(), map[string]any{"owner": "other"}), 200, "")
	s.must(t, tokenRequest(n.agent, ""), 200, "")
	if refusal := s.must(t, get(n.token, "/api/v1/audit"), 503, "READ_MODEL_BEHIND"); refusal.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if metrics := string(s.must(t, get("", "/metrics"), 200, "").body); !strings.Contains(metrics, `agentidp_projection_halted{projection="audit"} 1`) ||
		!strings.Contains(metrics, `agentidp_projection_halted{projection="agents"} 0`) {
		t.Error("the metrics do not tell which projection halted")
	}
}

// Without the database nothing is said yes to; afterwards all goes on.
func TestWithoutTheDatabaseItIsUnhealthyUntilItIsBack(t *testing.T) {
	t.Parallel()
	services := pgtest.Private(t)
	if _, err := migrations.Up(t.Context(), services.OwnerDatabaseURL); err != nil {
		t.Fatal(err)
	}
	s := enter(t, servertest.NewWorld(t, "EVENTSTORE=postgres", "DATABASE_URL="+services.DatabaseURL, "DB_POOL_CONNECTION_TIMEOUT_MS=500"))
	a := s.agent(t, s.organization(t, nil), "agents:read")
	token := s.token(t, a, "")
	if err := services.StopPostgres(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.healthIs(503, "unhealthy", "unreachable", "healthy", "healthy"); err != nil {
		t.Error(err)
	}
	s.must(t, get("", "/health/live"), 200, "") // to restart the server would be of no use
	for _, test := range []struct {
		request
		code string
	}{
		{get(token, "/api/v1/agents"), "SERVICE_UNAVAILABLE"},
		{post(s.operator, "/api/v1/agents", newAgentBody(a.organization, "")), "SERVICE_UNAVAILABLE"},
		{tokenRequest(a, ""), "temporarily_unavailable"},
		{request{method: http.MethodPost, path: "/oauth2/introspect", basic: &a, form: map[string][]string{"token": {token}}}, "temporarily_unavailable"},
		{request{method: http.MethodPost, path: "/oauth2/revoke", basic: &a, form: map[string][]string{"token": {token}}}, "temporarily_unavailable"},
	} {
		if refusal, err := s.want(test.request, 503, test.code); err != nil || refusal.header.Get("Retry-After") == "" {
			t.Errorf("%s: Retry-After %q, %v", test.path, refusal.header.Get("Retry-After"), err)
		}
	}
	s.must(t, get("", "/.well-known/jwks.json"), 200, "")
	if err := services.StartPostgres(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, func() error { return s.healthIs(200, "healthy", "healthy", "healthy", "healthy") })
	until(t, func() error {
		_, err := s.want(tokenRequest(a, ""), 200, "")
		return err
	})
	s.must(t, get(token, "/api/v1/agents"), 200, "")
	if report := s.must(t, get(s.operator, "/api/v1/audit/verify"), 200, ""); report.object()["verified"] != true {
		t.Errorf("verification %s", report.body)
	}
}

func TestMetricsHaveTheirPromisedNames(t *testing.T) {
	t.Parallel()
	s := newScene(t, "EVENTSTORE=postgres")
	s.tenant(t)
	s.must(t, get(s.operator, "/api/v1/audit/verify"), 200, "")
	s.must(t, get("", "/nothing"), 404, "")
	metrics := string(s.must(t, get("", "/metrics"), 200, "").body)
	for _, sample := range []string{
		`tokens_issued_total{scope="agents:read"} `,
		`agents_registered_total{deployment_env="production"} 1`,
		`http_requests_total{method="POST",route="/oauth2/token",status_code="200"} `,
		`http_requests_total{method="GET",route="unmatched",status_code="404"} 1`,
		`http_request_duration_seconds_bucket{method="POST",route="/api/v1/agents",`,
		`db_pool_active_connections `, `audit_chain_integrity 1`, `ledger_position `,
		`ledger_append_duration_seconds_bucket{`, `ledger_append_batch_size_bucket{`, `verification_duration_seconds_count 1`,
		`projection_lag_events{projection="audit"} `, `projection_position{projection="agents"} `,
	} {
		if !strings.Contains(metrics, "\nagentidp_"+sample) {
			t.Errorf("no sample agentidp_%s", sample)
		}
	}
	for _, secret := range []string{s.root.secret, s.operator} {
		if strings.Contains(metrics, secret) {
			t.Error("the metrics hold a secret")
		}
	}
}

func TestMetricsAreForTheAllowedNetworksAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t, "METRICS_ALLOW=192.0.2.0/24")
	s.must(t, get("", "/metrics"), 403, "AUTHORIZATION_ERROR")
	s.must(t, get(s.operator, "/metrics").with("X-Forwarded-For", "192.0.2.7"), 403, "AUTHORIZATION_ERROR")
}

// TestMetricsAreNotServedThroughAnUntrustedProxy: on the machine of its proxy
// a server sees every caller come from loopback.
func TestMetricsAreNotServedThroughAnUntrustedProxy(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.must(t, get("", "/metrics"), 200, "")
	for _, header := range []string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"} {
		s.must(t, get("", "/metrics").with(header, "127.0.0.1"), 403, "AUTHORIZATION_ERROR")
	}
	trusting := newScene(t, "TRUSTED_PROXIES=127.0.0.1/32", "METRICS_ALLOW=127.0.0.0/8,192.0.2.0/24")
	trusting.must(t, from(get("", "/metrics"), "192.0.2.7:4321"), 200, "")
	trusting.must(t, from(get("", "/metrics"), "203.0.113.5:4321"), 403, "AUTHORIZATION_ERROR")
	trusting.must(t, from(get("", "/metrics"), "203.0.113.5:4321").with("X-Real-IP", "192.0.2.9"), 403, "AUTHORIZATION_ERROR")
	trusting.must(t, get("", "/metrics").with("Via", "1.1 proxy"), 403, "AUTHORIZATION_ERROR")
}
