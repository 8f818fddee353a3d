package api_test

import (
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
	answer := s.must(t, post(s.operator, "/api/v1/agents", newAgentBody(organization, "")).with(keyHeader, unique()), 500, "INTERNAL_SERVER_ERROR")
	if answer.header.Get("Retry-After") != "" {
		t.Errorf("the client is asked to try again: %v", answer.header)
	}
	if health := s.must(t, get("", "/health"), 200, ""); health.text("status") != "degraded" {
		t.Errorf("health: %s", health.body)
	}
}
