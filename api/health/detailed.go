package health

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/gen"
)

// detailedHealth answers how everything is that this node depends on: 503
// without the database or the ledger or with one that lacks events it had, 207 when something else is not as it should be.
func (h *Handler) detailedHealth(c *gin.Context) error {
	state := gen.DetailedHealth{Version: h.Version, Projections: h.projectionDetails()}
	dependencies := &state.Dependencies
	ledger, redis := h.probes.shared(c.Request.Context(), h.probeAll)
	dependencies.Redis = redis
	state.KnownPosition = ledger.lostPosition()
	state.LedgerPosition, dependencies.Database, dependencies.EventStore = ledger.position(), ledger.database, ledger.detailed()
	dependencies.RateLimiter = gen.RateLimiterHealth{Status: healthy, Mode: "shared"}
	if h.Limiter.Alone() || redis.Status == unreachable {
		dependencies.RateLimiter = gen.RateLimiterHealth{Status: degraded, Mode: "in-process"}
	}
	if faults := h.unguarded.Load(); faults > 0 {
		dependencies.DatabaseGuards = &gen.DatabaseGuardsHealth{Status: degraded, Faults: int(faults), Action: restoreGuards}
	}
	if streams := h.interfered.Load(); streams > 0 {
		dependencies.LedgerStreams = &gen.LedgerStreamsHealth{Status: degraded, Faults: int(streams), Action: undoInterference}
	}

	var status int
	state.Status, status = overall(state)
	if status == http.StatusServiceUnavailable {
		c.Header("Retry-After", "1")
	}
	c.JSON(status, state)
	return nil
}

// restoreGuards is what to do where the database guards less than it should. The
// job's log line names what; to strangers it is a number.
const restoreGuards = "run agentidp migrate, which sets the guards of the database right; the log of the job database_guards names them"

// undoInterference is what to do where somebody laid hands on streams of the ledger.
const undoInterference = "let no scavenge run and see docs/runbooks/broken-chain.md; the log of the job event_store_streams names the streams"

func overall(state gen.DetailedHealth) (gen.DetailedHealthStatus, int) {
	ledger := ledgerHealth{database: state.Dependencies.Database, eventStore: state.Dependencies.EventStore}
	if !ledger.reachable() || state.KnownPosition != nil {
		return unhealthy, http.StatusServiceUnavailable
	}
	fine := ledger.healthy() && state.Dependencies.Redis.Status == healthy &&
		state.Dependencies.RateLimiter.Status == healthy
	fine = fine && state.Dependencies.DatabaseGuards == nil && state.Dependencies.LedgerStreams == nil
	for _, projection := range state.Projections {
		fine = fine && projection.Status == healthy
	}
	if !fine {
		return degraded, http.StatusMultiStatus
	}
	return healthy, http.StatusOK
}

func (h *Handler) projectionDetails() []gen.ProjectionHealth {
	details := []gen.ProjectionHealth{}
	for _, p := range h.Progress.Status() {
		health := gen.ProjectionHealth{
			Name: p.Projection, Status: healthy, Position: int64(p.Position), Lag: int64(p.Lag), LagSeconds: p.Behind.Seconds(),
		}
		if p.Halted || p.Stalled || p.Outdated() {
			health.Status = degraded
		}
		details = append(details, health)
	}
	return details
}
