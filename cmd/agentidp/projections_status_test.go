package main

import (
	"encoding/json"
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
