package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// mustCount wants a line in the metrics.
func (s *server) mustCount(tb testing.TB, line string) {
	tb.Helper()
	if metrics := s.must(tb, get("", "/metrics"), 200, ""); !strings.Contains(string(metrics.body), line+"\n") {
		tb.Errorf("no %q in the metrics", line)
	}
}

func TestPartnersAreKept(t *testing.T) {
	t.Parallel()
	s := newScene(t, "OUTBOUND_ALLOW=127.0.0.0/8")
	first, second := newPartner(t), newPartner(t)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond).Format("2006-01-02T15:04:05.000Z")
	made := first.register(t, s, map[string]any{"allowedOrganizations": []string{"b-1"}, "expiresAt": until})
	if made.text("status") != "active" || made.text("issuer") != first.issuer() || made.text("expiresAt") != until ||
		made.header.Get("Location") != first.path() || made.header.Get("X-Ledger-Position") == "" {
		t.Errorf("registered: %s %v", made.body, made.header)
	}
	second.register(t, s, map[string]any{"expiresAt": nil})
	s.must(t, post(s.operator, partnersPath, first.body(map[string]any{"name": "Again"})), 409, "CONFLICT")
	list := s.must(t, get(s.operator, partnersPath), 200, "")
	if got := texts(list.list("data"), "partnerId"); len(got) != 2 || got[0] != second.id || list.number("total") != 2 {
		t.Errorf("listed %v, want the newest first", got)
	}
	if got := s.must(t, get(s.operator, first.path()), 200, ""); string(got.body) != string(made.body) {
		t.Errorf("got %s, registered as %s", got.body, made.body)
	}
	changed := s.must(t, patch(s.operator, first.path(), map[string]any{
		"name": "Beta 2", "allowedOrganizations": []string{}, "status": "suspended", "expiresAt": nil,
	}), 200, "")
	if changed.text("name") != "Beta 2" || changed.text("status") != "suspended" || changed.object()["expiresAt"] != nil || len(changed.list("allowedOrganizations")) != 0 {
		t.Errorf("changed: %s", changed.body)
	}
	s.must(t, remove(s.operator, first.path()), 204, "")
	for _, r := range []request{get(s.operator, first.path()), remove(s.operator, first.path()), patch(s.operator, first.path(), map[string]any{"name": "x"})} {
		s.must(t, r, 404, "PARTNER_NOT_FOUND")
	}
	if list := s.must(t, get(s.operator, partnersPath), 200, ""); list.number("total") != 1 {
		t.Errorf("after one is deleted: %s", list.body)
	}
	first.register(t, s, nil) // the issuer is free again
	trail := s.must(t, get(s.operator, "/api/v1/audit?action=federation.partner_registered"), 200, "")
	if trail.number("total") != 3 {
		t.Errorf("the trail has %v registrations, want 3", trail.number("total"))
	}
	for _, kind := range []string{"partner_registered 3", "partner_updated 1", "partner_suspended 1", "partner_deleted 1", "partner_expired 0"} {
		var name string
		var n int
		_, _ = fmt.Sscan(kind, &name, &n)
		s.mustCount(t, fmt.Sprintf("agentidp_federation_events_total{event_type=%q} %d", name, n))
	}
}

func TestPartnersAreTheOperators(t *testing.T) {
	t.Parallel()
	s, p, tenant := federation(t)
	admin := map[string]any{"agentId": tenant.id, "role": "admin"}
	s.must(t, post(s.operator, "/api/v1/organizations/"+tenant.organization+"/members", admin), 201, "")
	for _, r := range []request{
		get(tenant.token, partnersPath), get(tenant.token, p.path()), post(tenant.token, partnersPath, p.body(nil)),
		patch(tenant.token, p.path(), map[string]any{"status": "suspended"}), remove(tenant.token, p.path()),
	} {
		s.must(t, r, 403, "INSUFFICIENT_SCOPE")
	}
	s.must(t, verify("", p.token(t, nil, nil)), 401, "UNAUTHORIZED")
	s.must(t, verify(s.token(t, tenant.agent, "audit:read"), p.token(t, nil, nil)), 403, "INSUFFICIENT_SCOPE")
}

func TestKeysAreLookedAtWhenTheyAreNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t, "OUTBOUND_ALLOW=127.0.0.0/8", "RATE_LIMIT_MAX_REQUESTS=0", "PUBLIC_URL=https://id.acme.example")
	p, good := newPartner(t), newPartner(t)
	good.register(t, s, nil)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(keys ...jose.JSONWebKey) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: keys})
		}
	}
	public := jose.JSONWebKey{Key: p.es.Public(), KeyID: esKey}
	many := make([]jose.JSONWebKey, 10_000)
	for i := range many {
		many[i] = public
	}
	for name, answers := range map[string]http.HandlerFunc{
		"no JSON":        func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"no keys":        set(),
		"only small":     set(jose.JSONWebKey{Key: small.Public()}),
		"only P-384":     set(jose.JSONWebKey{Key: other.Public()}),
		"only to wrap":   set(jose.JSONWebKey{Key: p.es.Public(), Use: "enc"}),
		"another alg":    set(jose.JSONWebKey{Key: p.rs.Public(), Algorithm: "PS256"}),
		"only a secret":  set(jose.JSONWebKey{Key: []byte("a shared secret of some length..")}),
		"a private half": set(jose.JSONWebKey{Key: p.es}),
		"10,000 keys":    set(many...),
		"5 MB":           func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 5<<20)) },
		"a redirect":     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, good.URL+"/jwks", http.StatusFound) },
		"an error":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"silence":        func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		p.answers(answers)
		start := time.Now()
		for _, r := range []request{post(s.operator, partnersPath, p.body(nil)), patch(s.operator, good.path(), map[string]any{"jwksUri": p.URL + "/jwks"})} {
			a := s.must(t, r, 400, "VALIDATION_ERROR")
			if details, _ := a.object()["details"].(map[string]any); details["field"] != "jwksUri" {
				t.Errorf("%s: %s", name, a.body)
			}
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: it took %s", name, took)
		}
	}
	p.answers(set(jose.JSONWebKey{Key: other.Public()}, jose.JSONWebKey{Key: []byte("secret")}, public, jose.JSONWebKey{Key: small.Public()}))
	p.register(t, s, nil) // one usable key is enough, whatever else is there

	for _, uri := range []string{"http://127.0.0.1/jwks", "https://10.0.0.1/jwks", "https://169.254.169.254/latest", "https://[::1]/", "https://[fd00:ec2::254]/", "https://nobody.invalid/", "jwks"} {
		s.must(t, post(s.operator, partnersPath, map[string]any{"name": "x", "issuer": "https://x.example", "jwksUri": uri}), 400, "VALIDATION_ERROR")
	}
	for _, issuer := range []string{"https://id.acme.example", "https://id.acme.example/", "https://id.acme", "https://id.acme.example.evil.example", "http://x.example", "x"} {
		s.must(t, post(s.operator, partnersPath, p.body(map[string]any{"issuer": issuer})), 400, "VALIDATION_ERROR")
	}
	s.must(t, post(s.operator, partnersPath, p.body(map[string]any{"issuer": "https://y.example", "expiresAt": "2020-01-01T00:00:00Z"})), 400, "VALIDATION_ERROR")
	s.must(t, patch(s.operator, partnersPath+"/019a3f5e-0b6c-7f10-8a4d-5e9b7c3d2f10", map[string]any{"jwksUri": p.URL}), 404, "PARTNER_NOT_FOUND")
}

func TestWithoutOutboundAllowNothingInsideIsCalled(t *testing.T) {
	t.Parallel()
	s, p := newScene(t), newPartner(t)
	s.must(t, post(s.operator, partnersPath, p.body(nil)), 400, "VALIDATION_ERROR")
	s.must(t, post(s.operator, partnersPath, map[string]any{"name": "x", "issuer": "https://x.example", "jwksUri": "https://localhost:1/"}), 400, "VALIDATION_ERROR")
	if n := p.fetches.Load(); n != 0 {
		t.Errorf("it was called %d times", n)
	}
}
