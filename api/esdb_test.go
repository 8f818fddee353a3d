package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sentryagent/agentidp/server/servertest"
)

// With the ledger in an EventStoreDB everything is as it was: what is written
// is read, revoked is revoked on every node, the trail shows and proves it.
func TestTheLedgerMayBeInEventStoreDB(t *testing.T) {
	t.Parallel()
	cluster, settings := servertest.ESDB(t, 3)
	s := newScene(t, settings...)
	n, stranger := s.tenant(t), s.tenant(t)
	other := s.another(t)
	token := s.token(t, n.agent, "")
	other.must(t, get(token, n.path()), 200, "")
	s.must(t, patch(n.token, n.path(), map[string]any{"owner": "somebody"}), 200, "")

	cluster.Lead(cluster.Node(1)) // nobody notices
	if got := other.must(t, get(n.token, n.path()), 200, "").text("owner"); got != "somebody" {
		t.Errorf("the owner is %q, want what was written", got)
	}
	n.agent.secret = s.must(t, post(n.token, n.path()+"/credentials/rotate", map[string]any{}), 200, "").text("clientSecret")
	if err := other.mustDie(token); err != nil {
		t.Error(err)
	}

	n.token = other.token(t, n.agent, tenantScopes)
	trail := s.must(t, get(n.token, "/api/v1/audit?agentId="+n.id), 200, "").list("data")
	if len(trail) == 0 {
		t.Fatal("the trail is empty")
	}
	for _, listed := range trail {
		path := "/api/v1/audit/" + listed["eventId"].(string)
		if alone := s.must(t, get(n.token, path), 200, "").object(); fmt.Sprint(alone) != fmt.Sprint(listed) {
			t.Errorf("%s: %v, listed as %v", path, alone, listed)
		}
		s.must(t, get(stranger.token, path), 403, "AUTHORIZATION_ERROR")
	}
	if report := s.must(t, get(s.operator, "/api/v1/audit/verify"), 200, ""); report.object()["verified"] != true ||
		report.number("checkedCount") != float64(cluster.Events("barrier")) {
		t.Errorf("verification %s, want %d events intact", report.body, cluster.Events("barrier"))
	}
	if metrics := s.must(t, get("", "/metrics"), 200, ""); !strings.Contains(string(metrics.body), "agentidp_eventstore_connected 1\n") {
		t.Error("the metrics do not say that the event store is connected")
	}

	for i := range 3 {
		cluster.Node(i).Stop()
	}
	until(t, func() error { return s.healthIs(503, "unhealthy", "healthy", "healthy", "healthy") })
	until(t, func() error { return s.eventStoreIs(503, "unreachable", "unavailable") })
	s.must(t, get("", "/health/live"), 200, "") // no reason to restart the server
	if refusal := s.must(t, tokenRequest(stranger.agent, ""), 503, "temporarily_unavailable"); refusal.header.Get("Retry-After") == "" {
		t.Error("no Retry-After while the event store is away")
	}
	for i := range 3 {
		if err := cluster.Node(i).Start(); err != nil {
			t.Fatal(err)
		}
	}
	until(t, func() error {
		_, err := s.want(tokenRequest(stranger.agent, ""), 200, "")
		return err
	})
	until(t, func() error { return s.healthIs(200, "healthy", "healthy", "healthy", "healthy") })
	if err := s.eventStoreIs(200, "healthy", "connected"); err != nil {
		t.Error(err)
	}
}

// eventStoreIs holds both kinds of health to what they tell of the event store.
func (s *server) eventStoreIs(status int, want, connection string) error {
	for path, within := range map[string]string{"/health": "checks", "/health/detailed": "dependencies"} {
		answer, err := s.want(get("", path), status, "")
		if err != nil {
			return err
		}
		parts, _ := answer.object()[within].(map[string]any)
		store, _ := parts["eventStore"].(map[string]any)
		since, err := time.Parse(time.RFC3339, fmt.Sprint(store["since"]))
		if store["status"] != want || store["connection"] != connection || err != nil || time.Since(since) > time.Minute {
			return fmt.Errorf("%s says %v, want it %s and %s since lately", path, store, want, connection)
		}
		if failed, _ := store["failures"].(float64); (failed > 0) != (connection == "unavailable") {
			return fmt.Errorf("%s counts %v failures while it is %s", path, failed, connection)
		}
	}
	return nil
}

// Where the ledger is in the database there is nothing else to tell of.
func TestHealthTellsOfAnEventStoreOnlyWhereThereIsOne(t *testing.T) {
	t.Parallel()
	s := newScene(t, "EVENTSTORE=postgres")
	for _, path := range []string{"/health", "/health/detailed"} {
		if answer := s.must(t, get("", path), 200, ""); strings.Contains(string(answer.body), "eventStore") {
			t.Errorf("%s answers %s", path, answer.body)
		}
	}
}
