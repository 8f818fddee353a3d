package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
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

func (s *Server) complianceRoutes() []router.Route {
	routes := []router.Route{
		{Method: http.MethodGet, Path: "/api/v1/compliance/controls", Access: router.Open, Limit: router.Controls, Cache: "public, max-age=60", Handler: s.listControls},
		{Method: http.MethodGet, Path: "/api/v1/compliance/report", Handler: s.getComplianceReport},
		{Method: http.MethodGet, Path: "/api/v1/compliance/agent-cards", Read: router.AtPosition, Handler: s.listAgentCards},
	}
	if !s.options.Compliance {
		for i := range routes[1:] {
			routes[1+i].Read, routes[1+i].Handler = router.AsItIs, complianceIsOff
		}
	}
	return routes
}

func complianceIsOff(*gin.Context) error {
	return domain.Refuse(router.CodeComplianceDisabled, "compliance reports are switched off on this server")
}

// listControls is open to everybody.
func (s *Server) listControls(c *gin.Context) error {
	controls := s.controls(c.Request.Context())
	c.JSON(http.StatusOK, gen.ComplianceControls{Controls: mapped(controls, controlBody)})
	return nil
}

func controlBody(c Control) gen.ComplianceControl {
	return gen.ComplianceControl{
		ID: c.ID, Name: c.Name, Status: gen.ComplianceControlStatus(c.Status),
		LastChecked: timestampOrNull(c.LastChecked), Jobs: mapped(c.Jobs, controlJobBody),
	}
}

func controlJobBody(j ControlJob) gen.ComplianceJob {
	result := gen.ComplianceJobLastResult(j.Result)
	if j.Result == "" {
		result = "never_ran"
	}
	return gen.ComplianceJob{
		Name: j.Name, LastResult: result, LastRun: timestampOrNull(j.LastRun),
		DurationMs: j.Duration.Milliseconds(), NextRun: timestampOrNull(j.NextRun),
	}
}

func (s *Server) getComplianceReport(c *gin.Context) error {
	organization, err := s.namedOrganization(c)
	if err != nil {
		return err
	}
	report, kept, err := s.reports.get(c.Request.Context(), organization, s.makeReport)
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

func (s *Server) listAgentCards(c *gin.Context) error {
	organization, err := s.namedOrganization(c)
	if err != nil {
		return err
	}
	agents, err := s.queries.ActiveAgents(c.Request.Context(), organization)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gen.AgentCardList{Data: mapped(agents, s.cardBody), Total: len(agents)})
	return nil
}

// cardBody is the simple card of an agent, issued when the agent last changed.
func (s *Server) cardBody(a domain.Agent) gen.AgentCard {
	return gen.AgentCard{
		Did: a.DID, Name: a.Email, AgentType: gen.AgentType(a.Profile.AgentType), Capabilities: a.Profile.Capabilities, Owner: a.Profile.Owner,
		Version: a.Profile.Version, DeploymentEnv: gen.DeploymentEnv(a.Profile.DeploymentEnv), IdentityProvider: s.issuer,
		IssuedAt: timestampOf(a.UpdatedAt),
	}
}

// ReportUnguarded says how many guards of the database were found not to be as
// they should; the detailed health shows it.
func (s *Server) ReportUnguarded(faults int64) { s.unguarded.Store(faults) }

// ReportInterfered says how much was found to have been done to the ledger's streams
// past the ledger; the detailed health shows it.
func (s *Server) ReportInterfered(streams int64) { s.interfered.Store(streams) }

// ReportIntegrity is told what a verification of the ledger found that was not
// asked for through the API; the metrics show it.
func (s *Server) ReportIntegrity(intact bool) { s.metrics.reportIntegrity(intact) }
