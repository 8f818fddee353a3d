// Package health is the room of how this server is: health, liveness, metrics, and
// what is answered while it starts. Start with [Handler.Routes].
package health

import (
	"net/http"
	"sync/atomic"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

const (
	healthy     = "healthy"
	degraded    = "degraded"
	unhealthy   = "unhealthy"
	unreachable = "unreachable"
)

// Handler answers what is asked about this server.
type Handler struct {
	Version     string
	Ledger      *ledger.Ledger
	Revocations *revocation.Index
	Queries     *readmodels.Queries
	Progress    *projections.Progress
	Redis       *redis.Client
	Limiter     *limits.Limiter
	EventStore  func() EventStore // how it is reached; nil where the ledger is in the database
	Server      *router.Router
	Metrics     *Metrics // nil: they are served elsewhere

	unguarded, interfered atomic.Int64
	probes                probes
}

// Routes are those of health and, where it is served here, of the metrics.
func (h *Handler) Routes() []router.Route {
	routes := []router.Route{
		{Method: http.MethodGet, Path: "/health", Access: router.Open, Cache: "no-store", Handler: h.health},
		{Method: http.MethodGet, Path: "/health/live", Access: router.Open, Cache: "no-store", Handler: alive},
		{Method: http.MethodGet, Path: "/health/detailed", Access: router.Open, Cache: "no-store", Handler: h.detailedHealth},
	}
	if h.Metrics != nil {
		routes = append(routes, router.Route{Method: http.MethodGet, Path: "/metrics", Access: router.Open, Handler: h.Metrics.serve})
	}
	return routes
}

// health answers whether the server can do its work. Without the database or
// the ledger, with a ledger that lacks events it had, with read models of an older
// version, or when it is about to stop, it cannot: 503. Without Redis, with an answer that took long, or with a projection halted or stalled, it
// is degraded but right: 200. Anybody may ask, so it tells codes and places, never
// an error's text.
func (h *Handler) health(c *gin.Context) error {
	state := gen.Health{Version: h.Version}
	ledger, redis := h.probes.shared(c.Request.Context(), h.probeAll)
	state.Checks.Redis = redis
	state.KnownPosition = ledger.lostPosition()
	state.LedgerPosition, state.Checks.Database, state.Checks.EventStore = ledger.position(), ledger.database, ledger.eventStore
	state.Checks.Projections = h.projectionsHealth()
	if h.Server.Draining() {
		state.Draining = new(true)
	}
	status := http.StatusOK
	switch {
	case h.Server.Draining(), !ledger.reachable(), ledger.lost > 0, state.Checks.Projections.Rebuilding != nil:
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
func alive(c *gin.Context) error {
	c.JSON(http.StatusOK, gen.Liveness{Status: "alive"})
	return nil
}

func (h *Handler) projectionsHealth() gen.ProjectionsHealth {
	state := gen.ProjectionsHealth{Status: healthy, Halted: []gen.HaltedProjection{}}
	if outdated := h.Progress.Outdated(); len(outdated) > 0 {
		state.Status, state.Rebuilding = degraded, &outdated
	}
	var stalled []gen.HaltedProjection
	for _, projection := range h.Progress.Status() {
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

// ReportUnguarded says how many guards of the database were found not to be as
// they should; the detailed health shows it.
func (h *Handler) ReportUnguarded(faults int64) { h.unguarded.Store(faults) }

// ReportInterfered says how much was found to have been done to the ledger's streams
// past the ledger; the detailed health shows it.
func (h *Handler) ReportInterfered(streams int64) { h.interfered.Store(streams) }
