package health

import (
	"testing"
	"time"

	"github.com/sentryagent/agentidp/api/gen"
)

func TestSlowAnswersAreDegraded(t *testing.T) {
	for took, want := range map[time.Duration]gen.DependencyHealthStatus{
		0: healthy, time.Second: healthy, time.Second + time.Microsecond: degraded, time.Minute: degraded,
	} {
		if got := graded(took).Status; got != want {
			t.Errorf("an answer after %s is %s, want %s", took, got, want)
		}
	}
}

func TestWorstDependencyDecides(t *testing.T) {
	type change func(*gen.DetailedHealth)
	for name, test := range map[string]struct {
		change change
		want   gen.DetailedHealthStatus
		status int
	}{
		"all is well":       {func(*gen.DetailedHealth) {}, healthy, 200},
		"slow database":     {func(h *gen.DetailedHealth) { h.Dependencies.Database.Status = degraded }, degraded, 207},
		"no Redis":          {func(h *gen.DetailedHealth) { h.Dependencies.Redis.Status = unreachable }, degraded, 207},
		"alone":             {func(h *gen.DetailedHealth) { h.Dependencies.RateLimiter.Status = degraded }, degraded, 207},
		"halted projection": {func(h *gen.DetailedHealth) { h.Projections[1].Status = degraded }, degraded, 207},
		"guards gone": {func(h *gen.DetailedHealth) {
			h.Dependencies.DatabaseGuards = &gen.DatabaseGuardsHealth{Status: degraded, Faults: 1}
		}, degraded, 207},
		"a stream deleted": {func(h *gen.DetailedHealth) {
			h.Dependencies.LedgerStreams = &gen.LedgerStreamsHealth{Status: degraded, Faults: 1}
		}, degraded, 207},
		"no database": {func(h *gen.DetailedHealth) { h.Dependencies.Database.Status = unreachable }, unhealthy, 503},
		"slow event store": {func(h *gen.DetailedHealth) {
			h.Dependencies.EventStore = &gen.EventStoreHealth{Status: degraded}
		}, degraded, 207},
		"no event store": {func(h *gen.DetailedHealth) {
			h.Dependencies.EventStore = &gen.EventStoreHealth{Status: unreachable}
		}, unhealthy, 503},
		"no database no Redis": {func(h *gen.DetailedHealth) {
			h.Dependencies.Database.Status = unreachable
			h.Dependencies.Redis.Status = unreachable
		}, unhealthy, 503},
	} {
		t.Run(name, func(t *testing.T) {
			state := gen.DetailedHealth{Projections: []gen.ProjectionHealth{{Status: healthy}, {Status: healthy}}}
			state.Dependencies.Database.Status, state.Dependencies.Redis.Status, state.Dependencies.RateLimiter.Status = healthy, healthy, healthy
			test.change(&state)
			if got, status := overall(state); got != test.want || status != test.status {
				t.Errorf("got %s, %d; want %s, %d", got, status, test.want, test.status)
			}
		})
	}
}
