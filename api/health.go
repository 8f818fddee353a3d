package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/gen"
)

const (
	healthy     = "healthy"
	degraded    = "degraded"
	unhealthy   = "unhealthy"
	unreachable = "unreachable"
)

// health answers whether the server can do its work. Without the database or
// the ledger, with a ledger that lacks events it had, with read models of an older
// version, or when it is about to stop, it cannot: 503. Without Redis, with an answer that took long, or with a projection halted or stalled, it
// is degraded but right: 200. Anybody may ask, so it tells codes and places, never
// an error's text.
func (s *Server) health(c *gin.Context) error {
	state := gen.Health{Version: s.options.Version}
	ledger, redis := s.probes.shared(c.Request.Context(), s.probeAll)
	state.Checks.Redis = redis
	state.KnownPosition = ledger.lostPosition()
	state.LedgerPosition, state.Checks.Database, state.Checks.EventStore = ledger.position(), ledger.database, ledger.eventStore
	state.Checks.Projections = s.projectionsHealth()
	if s.router.Draining() {
		state.Draining = new(true)
	}
	status := http.StatusOK
	switch {
	case s.router.Draining(), !ledger.reachable(), ledger.lost > 0, state.Checks.Projections.Rebuilding != nil:
		state.Status, status = unhealthy, http.StatusServiceUnavailable
		c.Header("Retry-After", "1")
	case ledger.healthy() && state.Checks.Redis.Status == healthy && state.Checks.Projections.Status == healthy:
		state.Status = healthy
	default:
		state.Status = degraded
	}
	c.JSON(status, state)
	return nil
}

// alive answers for as long as the server does.
func (s *Server) alive(c *gin.Context) error {
	c.JSON(http.StatusOK, gen.Liveness{Status: "alive"})
	return nil
}

func (s *Server) projectionsHealth() gen.ProjectionsHealth {
	state := gen.ProjectionsHealth{Status: healthy, Halted: []gen.HaltedProjection{}}
	if outdated := s.progress.Outdated(); len(outdated) > 0 {
		state.Status, state.Rebuilding = degraded, &outdated
	}
	var stalled []gen.HaltedProjection
	for _, projection := range s.progress.Status() {
		standing := gen.HaltedProjection{Name: projection.Projection, Position: int64(projection.Position)}
		switch {
		case projection.Halted:
			standing.Code = gen.HaltedProjectionCodeEVENTNOTAPPLICABLE
			state.Halted = append(state.Halted, standing)
		case projection.Stalled:
			standing.Code = gen.HaltedProjectionCodeNOPROGRESS
			stalled = append(stalled, standing)
		default:
			continue
		}
		state.Status = degraded
	}
	if stalled != nil {
		state.Stalled = &stalled
	}
	return state
}
