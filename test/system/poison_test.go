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

	"github.com/sentryagent/agentidp/eventstore"
)

// An event of a type that this build does not know halts the read model that
// takes every event. It says so, and the others go on.
func TestUnknownEventHaltsTheAuditTrailAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	owner := s.tenant(t, w)
	s.healthy(t, patience)
	poison := appendUnknown(t, w, uuid.MustParse(owner.organization))

	var health reply
	await(t, "/health to be degraded", func(ctx context.Context) (err error) {
		health, err = s.call(ctx, http.MethodGet, "/health", "", nil)
		if err == nil && health.text("status") != "degraded" {
			err = fmt.Errorf("%v", health)
		}
		return err
	})
	var state struct {
		Checks struct {
			Projections struct {
				Status string
				Halted []struct {
					Name     string
					Position eventstore.Position
					Code     string
				}
			}
		}
	}
	if err := json.Unmarshal(health.raw, &state); err != nil {
		t.Fatal(err)
	}
	halted := state.Checks.Projections.Halted
	if health.status != http.StatusOK || len(halted) != 1 || halted[0].Name != "audit" || halted[0].Code != "EVENT_NOT_APPLICABLE" {
		t.Errorf("/health: %v, want the audit projection halted", health)
	}
	if strings.Contains(string(health.raw), "abducted") {
		t.Errorf("/health tells anybody what the event was: %s", health.raw)
	}
	if r := runToEnd(t, w.settings, "projections", "status"); !strings.Contains(r.stdout, "agent.abducted") {
		t.Errorf("projections status does not say why:\n%s", r.stdout)
	}
	if halted[0].Position >= poison {
		t.Errorf("the audit projection is at %d, want before the event at %d", halted[0].Position, poison)
	}

	id := s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents", owner.operatorToken, owner.registration("after-the-poison")).text("agentId")
	s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+id, owner.operatorToken, nil)
	s.must(t, http.StatusCreated, http.MethodPost, "/api/v1/agents/"+id+"/credentials", owner.operatorToken, map[string]any{})
	token := s.mustToken(t, owner.agent, owner.secret, "")
	s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+owner.agent, token, nil)
	behind := s.must(t, http.StatusServiceUnavailable, http.MethodGet, "/api/v1/audit", owner.operatorToken, nil)
	if behind.text("code") != "READ_MODEL_BEHIND" || behind.header.Get("Retry-After") == "" {
		t.Errorf("the audit trail: %v, want 503 READ_MODEL_BEHIND with Retry-After", behind)
	}

	// A restart heals nothing, and breaks nothing either.
	s.kill(t)
	s = w.serveOn(t, s.port)
	await(t, "/health to be degraded after a restart", func(ctx context.Context) error {
		r, err := s.call(ctx, http.MethodGet, "/health", "", nil)
		if err == nil && r.text("status") != "degraded" {
			err = fmt.Errorf("%v", r)
		}
		return err
	})
	s.must(t, http.StatusOK, http.MethodGet, "/api/v1/agents/"+id, owner.operatorToken, nil)
}

// appendUnknown appends an event of a type that nobody has heard of.
func appendUnknown(tb testing.TB, w *world, organization uuid.UUID) eventstore.Position {
	tb.Helper()
	agent := uuid.NewString()
	appended, err := w.openStore(tb).Append(within(tb, patience), "agent-"+agent, eventstore.NoStream(), eventstore.Draft{
		ID: uuid.Must(uuid.NewV7()), Type: "agent.abducted", Schema: 1, Organization: organization,
		Actor: eventstore.Actor{Kind: "system", ID: "test"}, Time: time.Now(), Data: json.RawMessage(`{"by":"nobody knows"}`),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return appended.Position()
}
