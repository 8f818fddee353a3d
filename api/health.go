package api

import (
	"context"
	"net/http"
	"time"

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
// the ledger, or with read models of an older version, it cannot: 503. Without
// Redis, with an answer that took long or with a projection halted, it is
// degraded but right: 200.
func (s *Server) health(c *gin.Context) {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(c.Request.Context(), patience)
	defer cancel()
	state := gen.Health{Version: s.options.Version}
	state.Checks.Redis = probe(func() error { return s.redis.Ping(ctx).Err() })
	ledger := s.probeLedger(ctx)
	state.LedgerPosition, state.Checks.Database, state.Checks.EventStore = int64(ledger.head), ledger.database, ledger.eventStore
	state.Checks.Projections = s.projectionsHealth()
	status := http.StatusOK
	switch {
	case !ledger.reachable(), state.Checks.Projections.Rebuilding != nil:
		state.Status, status = unhealthy, http.StatusServiceUnavailable
		c.Header("Retry-After", "1")
	case ledger.healthy() && state.Checks.Redis.Status == healthy && state.Checks.Projections.Status == healthy:
		state.Status = healthy
	default:
		state.Status = degraded
	}
	c.Header("Cache-Control", "no-store")
	c.JSON(status, state)
}

// alive answers for as long as the server does.
func (s *Server) alive(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusOK, gen.Liveness{Status: "alive"})
}

func (s *Server) projectionsHealth() gen.ProjectionsHealth {
	state := gen.ProjectionsHealth{Status: healthy, Halted: []gen.HaltedProjection{}}
	if outdated := s.progress.Outdated(); len(outdated) > 0 {
		state.Status, state.Rebuilding = degraded, &outdated
	}
	for _, projection := range s.progress.Status() {
		if projection.Halted {
			state.Status = degraded
			state.Halted = append(state.Halted, gen.HaltedProjection{
				Name: projection.Projection, Position: int64(projection.Position), Error: projection.Error,
			})
		}
	}
	return state
}
