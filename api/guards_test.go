package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/migrations"
)

func takeOff(t *testing.T, superuser, statement string) {
	t.Helper()
	if _, err := pgtest.Pool(t, superuser).Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// Guards that somebody takes off under a running server are seen on every node,
// and no more once they are back. Nothing else of the server changes meanwhile.
func TestGuardsThatAreTakenOffAreSeen(t *testing.T) {
	t.Parallel()
	s := newScene(t, "CONTROL_CHECK_INTERVAL_MS=1000")
	other := s.another(t, "CONTROL_CHECK_INTERVAL_MS=1000")
	for _, harm := range []string{
		`ALTER TABLE events DISABLE TRIGGER events_are_append_only`,
		`ALTER TABLE agents DISABLE ROW LEVEL SECURITY`,
		`GRANT UPDATE ON events TO agentidp_server`,
	} {
		s.untilControls(t, map[string]string{"CC7.2": "passing"})
		takeOff(t, s.world.Database.SuperuserURL, harm)
		s.untilControls(t, map[string]string{"CC7.2": "failing"})
		for _, node := range []*server{s.server, other} {
			until(t, func() error {
				health, err := node.want(get("", "/health/detailed"), 207, "")
				if err == nil && (health.dig("dependencies.databaseGuards.faults") != 1.0 || health.dig("status") != "degraded" ||
					!strings.Contains(fmt.Sprint(health.dig("dependencies.databaseGuards.action")), "agentidp migrate")) {
					err = fmt.Errorf("after %s: %s", harm, health.body)
				}
				return err
			})
			until(t, func() error {
				metrics, err := node.do(get("", "/metrics"))
				if err == nil && !strings.Contains(string(metrics.body), "agentidp_database_unguarded 1\n") {
					err = fmt.Errorf("after %s the metrics do not tell of it", harm)
				}
				return err
			})
		}
		s.must(t, get(s.operator, "/api/v1/organizations"), 200, "")
		if done, err := migrations.Up(t.Context(), s.world.Database.OwnerURL); err != nil || len(done.Mended) == 0 {
			t.Fatalf("after %s: mended %q, %v", harm, done.Mended, err)
		}
		for _, node := range []*server{s.server, other} {
			until(t, func() error {
				_, err := node.want(get("", "/health/detailed"), 200, "")
				return err
			})
		}
	}
}
