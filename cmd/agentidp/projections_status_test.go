package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

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
