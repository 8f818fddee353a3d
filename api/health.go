package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/ledger"
)

type health struct {
	Status         string          `json:"status"` // healthy, degraded or unhealthy
	Version        string          `json:"version"`
	Checks         healthChecks    `json:"checks"`
	LedgerPosition ledger.Position `json:"ledgerPosition"`
}

type healthChecks struct {
	Database    dependencyHealth  `json:"database"`
	Redis       dependencyHealth  `json:"redis"`
	Projections projectionsHealth `json:"projections"`
}

type dependencyHealth struct {
	Status    string  `json:"status"` // healthy or unreachable
	LatencyMS float64 `json:"latencyMs"`
}

type projectionsHealth struct {
	Status     string             `json:"status"` // healthy or degraded
	Halted     []haltedProjection `json:"halted"`
	Rebuilding []string           `json:"rebuilding,omitempty"` // from an older version, before this server can read them
}

type haltedProjection struct {
	Name     string          `json:"name"`
	Position ledger.Position `json:"position"`
	Error    string          `json:"error"`
}

const (
	healthy     = "healthy"
	degraded    = "degraded"
	unhealthy   = "unhealthy"
	unreachable = "unreachable"
)

// health answers whether the server can do its work. Without the database, or
// with read models of an older version, it cannot: 503. Without Redis, or with a projection halted, it is degraded but
// right: 200.
func (s *Server) health(c *gin.Context) {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(c.Request.Context(), patience)
	defer cancel()
	state := health{Status: healthy, Version: s.options.Version}
	state.Checks.Redis = check(func() error { return s.redis.Ping(ctx).Err() })
	state.Checks.Database = check(func() (err error) {
		state.LedgerPosition, err = s.ledger.Head(ctx)
		if err == nil {
			err = s.queries.Ping(ctx)
		}
		return err
	})
	state.Checks.Projections = s.projectionsHealth()
	status := http.StatusOK
	if state.Checks.Redis.Status != healthy || state.Checks.Projections.Status != healthy {
		state.Status = degraded
	}
	if state.Checks.Database.Status != healthy || len(state.Checks.Projections.Rebuilding) > 0 {
		state.Status, status = unhealthy, http.StatusServiceUnavailable
		c.Header("Retry-After", "1")
	}
	c.Header("Cache-Control", "no-store")
	c.JSON(status, state)
}

func check(ping func() error) dependencyHealth {
	start := time.Now()
	if err := ping(); err != nil {
		return dependencyHealth{Status: unreachable}
	}
	return dependencyHealth{Status: healthy, LatencyMS: float64(time.Since(start).Microseconds()) / 1000}
}

func (s *Server) projectionsHealth() projectionsHealth {
	state := projectionsHealth{Status: healthy, Halted: []haltedProjection{}, Rebuilding: s.progress.Outdated()}
	if len(state.Rebuilding) > 0 {
		state.Status = degraded
	}
	for _, projection := range s.progress.Status() {
		if projection.Halted {
			state.Status = degraded
			state.Halted = append(state.Halted, haltedProjection{
				Name: projection.Projection, Position: projection.Position, Error: projection.Error,
			})
		}
	}
	return state
}
