package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/gen"
)

// detailedHealth answers how everything is that this node depends on: 503
// without the database or the ledger, 207 when something else is not as it should be.
func (s *Server) detailedHealth(c *gin.Context) {
	const patience = 3 * time.Second
	ctx, cancel := context.WithTimeout(c.Request.Context(), patience)
	defer cancel()
	state := gen.DetailedHealth{Version: s.options.Version, Projections: s.projectionDetails()}
	dependencies := &state.Dependencies
	dependencies.Redis = probe(func() error { return s.redis.WithTimeout(patience).Ping(ctx).Err() })
	ledger := s.probeLedger(ctx)
	state.LedgerPosition, dependencies.Database, dependencies.EventStore = int64(ledger.head), ledger.database, ledger.eventStore
	dependencies.RateLimiter = gen.RateLimiterHealth{Status: healthy, Mode: "shared"}
	if s.limiter.Alone() {
		dependencies.RateLimiter = gen.RateLimiterHealth{Status: degraded, Mode: "in-process"}
	}

	var status int
	state.Status, status = overall(state)
	if status == http.StatusServiceUnavailable {
		c.Header("Retry-After", "1")
	}
	c.Header("Cache-Control", "no-store")
	c.JSON(status, state)
}

func overall(state gen.DetailedHealth) (gen.DetailedHealthStatus, int) {
	ledger := ledgerHealth{database: state.Dependencies.Database, eventStore: state.Dependencies.EventStore}
	if !ledger.reachable() {
		return unhealthy, http.StatusServiceUnavailable
	}
	fine := ledger.healthy() && state.Dependencies.Redis.Status == healthy &&
		state.Dependencies.RateLimiter.Status == healthy
	for _, projection := range state.Projections {
		fine = fine && projection.Status == healthy
	}
	if !fine {
		return degraded, http.StatusMultiStatus
	}
	return healthy, http.StatusOK
}

func (s *Server) projectionDetails() []gen.ProjectionHealth {
	details := []gen.ProjectionHealth{}
	for _, p := range s.progress.Status() {
		health := gen.ProjectionHealth{
			Name: p.Projection, Status: healthy, Position: int64(p.Position), Lag: int64(p.Lag), LagSeconds: p.Behind.Seconds(),
		}
		if p.Halted || p.Outdated() {
			health.Status = degraded
		}
		details = append(details, health)
	}
	return details
}
