package system_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/internal/config"
)

// What an operator does to an agent's stream is refused with one clear answer,
// never with 500; others go on; verification, health and the metrics name it.
func TestAStreamThatSomebodyLaidHandsOnIsRefused(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(context.Context, *model.Node, string) error{
		"foreign_event": func(ctx context.Context, n *model.Node, stream string) error {
			_, err := n.Append(ctx, true, stream, model.ExpectAny, []model.Proposed{{ID: model.ID(uuid.New()), Type: "note", ContentType: "application/json", Data: []byte(`{}`)}})
			return err
		},
		"deleted_stream": func(ctx context.Context, n *model.Node, stream string) error {
			_, err := n.Tombstone(ctx, true, stream, model.ExpectAny)
			return err
		},
		"hidden_events": func(ctx context.Context, n *model.Node, stream string) error {
			_, err := n.Delete(ctx, true, stream, model.ExpectAny)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOn(t, config.EventStoreESDB, "CONTROL_CHECK_INTERVAL_MS=1000")
			s := w.serve(t, "METRICS_PORT=")
			victim, other := s.tenant(t, w), s.tenant(t, w)
			token := s.mustToken(t, victim.agent, victim.secret, "")
			stream := "agent-" + victim.agent
			if err := do(t.Context(), w.eventStore.Model().Leader(), stream); err != nil {
				t.Fatal(err)
			}
			created := w.head(t)
			for what, r := range map[string]func() (reply, error){
				"a token": func() (reply, error) { return s.token(t.Context(), victim.agent, victim.secret, "") },
				"a change": func() (reply, error) {
					return s.call(t.Context(), http.MethodPatch, "/api/v1/agents/"+victim.agent, victim.operatorToken, map[string]any{"version": "2.0.0"})
				},
				"a credential": func() (reply, error) {
					return s.call(t.Context(), http.MethodPost, "/api/v1/agents/"+victim.agent+"/credentials", victim.operatorToken, map[string]any{})
				},
			} {
				r, err := r()
				if err != nil || r.status == http.StatusInternalServerError || strings.Contains(string(r.raw), "agent-"+victim.agent) {
					t.Errorf("%s: %v, %v", what, r, err)
				}
				if name != "hidden_events" && (r.status != http.StatusServiceUnavailable || !strings.Contains(string(r.raw), "laid hands on")) {
					t.Errorf("%s: %v, want 503 that says why", what, r)
				}
			}
			was := s.must(t, http.StatusOK, http.MethodGet, fmt.Sprintf("/api/v1/audit/state/%s?at=%d", victim.agent, created), victim.operatorToken, nil)
			if !strings.Contains(string(was.raw), victim.agent) {
				t.Errorf("the state of then: %v", was)
			}
			s.mustToken(t, other.agent, other.secret, "")
			r := runToEnd(t, w.settings, "ledger", "verify", "--live", "--json")
			var report struct {
				Break struct{ Kind, Stream, EventID string }
			}
			if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != exitFailed || report.Break.Kind != name || report.Break.Stream != stream {
				t.Errorf("verify --live: code %d, %s, want 1 and %s of %s\n%s", r.code, r.stdout, name, stream, r.stderr)
			}
			for limit := within(t, patience); ; {
				r, err := s.call(limit, http.MethodGet, "/health/detailed", "", nil)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(r.raw), `"ledgerStreams":{`) && r.status == http.StatusMultiStatus {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if metrics := s.metrics(t); !strings.Contains(metrics, "\nagentidp_ledger_interfered_streams 1\n") {
				t.Errorf("the metrics do not count the stream:\n%s", metrics)
			}
			proven := s.must(t, http.StatusOK, http.MethodGet, "/api/v1/audit/verify", token, nil)
			if proven.body["verified"] != false || !strings.Contains(string(proven.raw), name) {
				t.Errorf("GET /audit/verify: %v", proven)
			}
		})
	}
}
