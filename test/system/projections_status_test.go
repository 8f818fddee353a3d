package system_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/config"
)

// Positions are told as such, and nobody takes places in a log for events.
func TestStatusCountsEventsWherePositionsDo(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, w *world) {
		if r := runToEnd(t, w.settings, "projections", "rebuild", "--all"); r.code != exitOK {
			t.Fatalf("rebuild: %s", r.stderr)
		}
		r := runToEnd(t, w.settings, "projections", "status", "--json")
		var shown struct{ Projections []projectionState }
		if err := json.Unmarshal([]byte(r.stdout), &shown); err != nil || len(shown.Projections) == 0 {
			t.Fatalf("status: %v in %s%s", err, r.stdout, r.stderr)
		}
		for _, p := range shown.Projections {
			if counted := p.Lag != nil; counted != (w.setting("EVENTSTORE") != config.EventStoreESDB) || counted && *p.Lag != 0 || p.Behind != 0 {
				t.Errorf("%s is %s", p.Name, r.stdout)
			}
		}
	})
}

// Without a server nothing folds events, whatever the last one left behind.
func TestStatusTellsWhetherAServerRunsTheReadModels(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.serve(t)
	state := func() string { return runToEnd(t, w.settings, "projections", "status").stdout }
	if shown := state(); !strings.Contains(shown, "running") || strings.Contains(shown, "stopped") {
		t.Errorf("beside a server: %s", shown)
	}
	server.signal(t, syscall.SIGTERM)
	server.wait(t, patience)
	if shown := state(); !strings.Contains(shown, "stopped: no server runs it") || strings.Contains(shown, "running") {
		t.Errorf("without a server: %s", shown)
	}
}

// A read model that a server runs and that does not move is told from one that runs.
func TestStatusTellsWhatStandsStill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.serve(t)
	organization := s.tenant(t, w).organization
	status := func(code int) map[string]string {
		t.Helper()
		r := runToEnd(t, w.settings, "projections", "status", "--json")
		var shown struct{ Projections []projectionState }
		if err := json.Unmarshal([]byte(r.stdout), &shown); err != nil || r.code != code {
			t.Fatalf("status: code %d, want %d (%v): %s%s", r.code, code, err, r.stdout, r.stderr)
		}
		states := map[string]string{}
		for _, p := range shown.Projections {
			states[p.Name] = p.State
		}
		return states
	}
	release := hold(t, w.superuser(t), `BEGIN; LOCK TABLE agents IN SHARE MODE`)
	w.asSuperuser(t, `UPDATE projection_checkpoints SET updated_at = now() - interval '1 hour' WHERE name IN ('agents', 'credentials')`)
	before := domain.AgentID{UUID: uuid.Must(uuid.NewV7())}
	name, schema, data, err := domain.Encode(domain.AgentCreated{AgentID: before, OrganizationID: domain.OrganizationID{UUID: uuid.MustParse(organization)}, Email: "an-hour-ago@acme.example"})
	if err == nil {
		_, err = w.openStore(t).Append(t.Context(), domain.AgentStream(before), eventstore.NoStream(), eventstore.Draft{
			ID: uuid.Must(uuid.NewV7()), Type: string(name), Schema: schema, Organization: uuid.MustParse(organization), Data: data,
			Time: time.Now().Add(-time.Hour), Actor: eventstore.Actor{Kind: "system", ID: "test"},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	states := status(exitFailed)
	if states["agents"] != "stalled" || states["credentials"] != "running" || states["organizations"] != "running" {
		t.Errorf("while its table is locked: %v", states)
	}
	if text := runToEnd(t, w.settings, "projections", "status"); !strings.Contains(text.stdout, "stalled: a server runs it, and it applies nothing") ||
		!strings.Contains(text.stderr, "0 have halted and 1 are stalled") {
		t.Errorf("%s%s", text.stdout, text.stderr)
	}
	release()
	await(t, "the read model", func(context.Context) error {
		if r := runToEnd(t, w.settings, "projections", "status"); r.code != exitOK || strings.Contains(r.stdout, "stalled") {
			return fmt.Errorf("%s%s", r.stdout, r.stderr)
		}
		return nil
	})
}
