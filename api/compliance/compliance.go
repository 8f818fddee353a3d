// Package compliance is the room of what a compliance officer asks for: controls,
// reports, agent cards. Start with [Handler.Routes].
package compliance

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/turns"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Control is how a compliance control stands.
type Control struct {
	ID, Name    string
	Status      string    // passing, failing or unknown
	LastChecked time.Time // zero when never
	Jobs        []ControlJob
}

// ControlJob is how a job went last that a control rests on.
type ControlJob struct {
	Name     string
	Result   string    // passed, failed or error; "" when it never ran
	LastRun  time.Time // zero when it never ran
	Duration time.Duration
	NextRun  time.Time // zero when nobody has taken it up
}

// Handler answers what is asked about compliance. Make one with [New].
type Handler struct {
	Ledger        *ledger.Ledger
	Queries       *readmodels.Queries
	Verifications *turns.Verifications
	Controls      func(context.Context) []Control // how they stand; never fails
	Enabled       bool                            // the report and the agent cards are served
	Issuer        string
	Now           func() time.Time

	reports *reportCache
	made    prometheus.Counter
}

// New completes a handler that has its needs.
func New(h Handler, registry prometheus.Registerer) *Handler {
	h.reports = newReportCache(h.Now)
	h.made = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "agentidp_compliance_reports_generated_total", Help: "Compliance reports made; those answered from the cache are not counted.",
	})
	registry.MustRegister(h.made)
	return &h
}

// Routes are those of compliance.
func (h *Handler) Routes() []router.Route {
	routes := []router.Route{
		{Method: http.MethodGet, Path: "/api/v1/compliance/controls", Access: router.Open, Limit: router.Controls, Cache: "public, max-age=60", Handler: h.listControls},
		{Method: http.MethodGet, Path: "/api/v1/compliance/report", Handler: h.getComplianceReport},
		{Method: http.MethodGet, Path: "/api/v1/compliance/agent-cards", Read: router.AtPosition, Handler: h.listAgentCards},
	}
	if !h.Enabled {
		routes[1].Handler = switchedOff
		routes[2].Handler, routes[2].Read = switchedOff, router.AsItIs
	}
	return routes
}

func switchedOff(*gin.Context) error {
	return domain.Refuse(router.CodeComplianceDisabled, "compliance reports are switched off on this server")
}

// listControls is open to everybody.
func (h *Handler) listControls(c *gin.Context) error {
	controls := h.Controls(c.Request.Context())
	c.JSON(http.StatusOK, gen.ComplianceControls{Controls: wire.Mapped(controls, controlBody)})
	return nil
}

func controlBody(c Control) gen.ComplianceControl {
	return gen.ComplianceControl{
		ID: c.ID, Name: c.Name, Status: gen.ComplianceControlStatus(c.Status),
		LastChecked: wire.TimeOrNull(c.LastChecked), Jobs: wire.Mapped(c.Jobs, controlJobBody),
	}
}

func controlJobBody(j ControlJob) gen.ComplianceJob {
	result := gen.ComplianceJobLastResult(j.Result)
	if j.Result == "" {
		result = "never_ran"
	}
	return gen.ComplianceJob{
		Name: j.Name, LastResult: result, LastRun: wire.TimeOrNull(j.LastRun),
		DurationMs: j.Duration.Milliseconds(), NextRun: wire.TimeOrNull(j.NextRun),
	}
}

func (h *Handler) getComplianceReport(c *gin.Context) error {
	organization, err := access.NamedOrganization(c, h.Ledger)
	if err != nil {
		return err
	}
	report, kept, err := h.reports.get(c.Request.Context(), organization, h.makeReport)
	if err != nil {
		return err
	}
	c.Header("X-Cache", "MISS")
	if kept {
		c.Header("X-Cache", "HIT")
	}
	report.FromCache = kept
	c.JSON(http.StatusOK, report)
	return nil
}

func (h *Handler) listAgentCards(c *gin.Context) error {
	organization, err := access.NamedOrganization(c, h.Ledger)
	if err != nil {
		return err
	}
	agents, err := h.Queries.ActiveAgents(c.Request.Context(), organization)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gen.AgentCardList{Data: wire.Mapped(agents, h.cardBody), Total: len(agents)})
	return nil
}

func (h *Handler) cardBody(a domain.Agent) gen.AgentCard { return wire.AgentCard(a, a.DID, h.Issuer) }
