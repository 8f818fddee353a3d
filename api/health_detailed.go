package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/ledger"
)

// slow is from when on a dependency that answers is degraded.
const slow = time.Second

// detailedHealth answers how everything is that this node depends on: 503
// without the database, 207 when something else is not as it should be.
func (s *Server) detailedHealth(c *gin.Context) {
	const patience = 3 * time.Second
	ctx, cancel := context.WithTimeout(c.Request.Context(), patience)
	defer cancel()
	var head ledger.Position
	state := gen.DetailedHealth{Version: s.options.Version, Projections: s.projectionDetails()}
	dependencies := &state.Dependencies
	dependencies.Redis = probe(func() error { return s.redis.WithTimeout(patience).Ping(ctx).Err() })
	dependencies.Database = probe(func() (err error) {
		head, err = s.ledger.Head(ctx)
		if err == nil {
			err = s.queries.Ping(ctx)
		}
		return err
	})
	dependencies.RateLimiter = gen.RateLimiterHealth{Status: healthy, Mode: "shared"}
	if s.limiter.Alone() {
		dependencies.RateLimiter = gen.RateLimiterHealth{Status: degraded, Mode: "in-process"}
	}
	state.LedgerPosition = int64(head)

	var status int
	state.Status, status = overall(state)
	if status == http.StatusServiceUnavailable {
		c.Header("Retry-After", "1")
	}
	c.Header("Cache-Control", "no-store")
	c.JSON(status, state)
}

// probe tells how long an answer took; of one that did not come, nothing.
func probe(ping func() error) gen.DependencyHealth {
	start := time.Now()
	if err := ping(); err != nil {
		return gen.DependencyHealth{Status: unreachable}
	}
	return graded(time.Since(start))
}

func graded(took time.Duration) gen.DependencyHealth {
	latency := float64(took.Microseconds()) / 1000
	health := gen.DependencyHealth{Status: healthy, LatencyMs: &latency}
	if took > slow {
		health.Status = degraded
	}
	return health
}

func overall(state gen.DetailedHealth) (gen.DetailedHealthStatus, int) {
	if state.Dependencies.Database.Status == unreachable {
		return unhealthy, http.StatusServiceUnavailable
	}
	fine := state.Dependencies.Database.Status == healthy && state.Dependencies.Redis.Status == healthy &&
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
		health := gen.ProjectionHealth{Name: p.Projection, Status: healthy, Position: int64(p.Position), Lag: int64(p.Lag)}
		if p.Halted || p.Outdated() {
			health.Status = degraded
		}
		details = append(details, health)
	}
	return details
}
