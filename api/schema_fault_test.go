package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/sentryagent/agentidp/internal/pgtest"
)

// A database that lacks a column is no passing trouble: no client is asked to try
// again, and health shows it.
func TestALackingColumnIsToldAsSuch(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	organization := s.organization(t, nil)
	if _, err := pgtest.Pool(t, s.world.Database.SuperuserURL).Exec(t.Context(), `ALTER TABLE idempotency_keys RENAME holder TO older`); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(newAgentBody(organization, ""))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.base+"/api/v1/agents", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+s.operator)
	request.Header.Set(keyHeader, unique())
	answer, err := http.DefaultClient.Do(request) // the tests' own client takes no 500
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusInternalServerError || answer.Header.Get("Retry-After") != "" {
		t.Errorf("%s, Retry-After %q; want 500 and no advice to try again", answer.Status, answer.Header.Get("Retry-After"))
	}
	if health := s.must(t, get("", "/health"), 200, ""); health.text("status") != "degraded" {
		t.Errorf("health: %s", health.body)
	}
}
