package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func (s *Server) registerAgent(c *gin.Context) error {
	body, err := decode[gen.AgentCreate](c)
	if err != nil {
		return err
	}
	caller := principal(c)
	organization := caller.OrganizationID
	if body.OrganizationID != nil {
		organization = domain.OrganizationID{UUID: *body.OrganizationID}
	}
	id := domain.AgentID{UUID: newID(c)}
	outcome, err := s.ledger.RegisterAgent(c.Request.Context(), s.origin(c), domain.RegisterAgent{
		Caller:         caller,
		AgentID:        id,
		OrganizationID: organization,
		Email:          body.Email,
		Profile: domain.Profile{
			AgentType:     domain.AgentType(body.AgentType),
			Version:       body.Version,
			Capabilities:  body.Capabilities,
			Owner:         body.Owner,
			DeploymentEnv: domain.DeploymentEnv(body.DeploymentEnv),
			Description:   valueOf(body.Description),
			Metadata:      valueOf(body.Metadata),
			IsPublic:      valueOf(body.IsPublic),
		},
		Scopes: scopesOf(valueOf(body.Scopes)),
		DID:    s.options.DID(id),
	})
	if err != nil {
		return err
	}
	s.metrics.agents.WithLabelValues(string(body.DeploymentEnv)).Inc()
	c.Header("Location", c.Request.URL.Path+"/"+id.String())
	answerAgent(c, http.StatusCreated, outcome)
	return nil
}

func (s *Server) listAgents(c *gin.Context) error {
	tenant, err := s.listedTenant(c)
	if err != nil {
		return err
	}
	page := pageOf(c)
	agents, err := s.queries.Agents(c.Request.Context(), tenant, readmodels.AgentFilter{
		Owner:     c.Query("owner"),
		AgentType: domain.AgentType(c.Query("agentType")),
		Status:    domain.AgentStatus(c.Query("status")),
		Page:      page,
	})
	if err != nil {
		return err
	}
	answerList(c, page, agents, agentBody)
	return nil
}

func (s *Server) getAgent(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	agent, err := s.queries.Agent(c.Request.Context(), tenantOf(principal(c)), id)
	if err != nil {
		return notVisible(c, err, "agent", domain.CodeAgentNotFound)
	}
	c.Header("ETag", etag(agent.Edition))
	c.JSON(http.StatusOK, agentBody(agent))
	return nil
}

func (s *Server) updateAgent(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	body, err := decode[gen.AgentUpdate](c)
	if err != nil {
		return err
	}
	command := domain.UpdateAgent{
		Caller:        principal(c),
		AgentType:     (*domain.AgentType)(body.AgentType),
		Version:       body.Version,
		Capabilities:  body.Capabilities,
		Owner:         body.Owner,
		DeploymentEnv: (*domain.DeploymentEnv)(body.DeploymentEnv),
		Description:   body.Description,
		Metadata:      body.Metadata,
		IsPublic:      body.IsPublic,
		Status:        (*domain.AgentStatus)(body.Status),
		Reason:        valueOf(body.Reason),
		IfEdition:     ifMatch(c.GetHeader("If-Match")),
	}
	if body.Scopes != nil {
		scopes := scopesOf(*body.Scopes)
		command.Scopes = &scopes
	}
	outcome, err := s.ledger.UpdateAgent(c.Request.Context(), s.origin(c), id, command)
	if err != nil {
		return err
	}
	answerAgent(c, http.StatusOK, outcome)
	return nil
}

func (s *Server) decommissionAgent(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	outcome, err := s.ledger.DecommissionAgent(c.Request.Context(), s.origin(c), id, domain.DecommissionAgent{Caller: principal(c)})
	if err != nil {
		return err
	}
	router.Answer(c, http.StatusNoContent, outcome.Position, nil)
	return nil
}

func answerAgent(c *gin.Context, status int, outcome ledger.Outcome[domain.Agent]) {
	c.Header("ETag", etag(outcome.State.Edition))
	router.Answer(c, status, outcome.Position, agentBody(outcome.State))
}

func agentBody(a domain.Agent) gen.Agent {
	return gen.Agent{
		AgentID:        a.ID.UUID,
		OrganizationID: a.OrganizationID.UUID,
		Email:          a.Email,
		AgentType:      gen.AgentType(a.Profile.AgentType),
		Version:        a.Profile.Version,
		Capabilities:   a.Profile.Capabilities,
		Owner:          a.Profile.Owner,
		DeploymentEnv:  gen.DeploymentEnv(a.Profile.DeploymentEnv),
		Description:    a.Profile.Description,
		Metadata:       a.Profile.Metadata,
		Scopes:         genScopes(a.Scopes),
		IsPublic:       a.Profile.IsPublic,
		Status:         gen.AgentStatus(a.Status),
		Did:            a.DID,
		CreatedAt:      timestampOf(a.CreatedAt),
		UpdatedAt:      timestampOf(a.UpdatedAt),
		LastAuthAt:     timestampOrNull(a.LastAuthAt),
	}
}

// etag stands for an edition of an agent: everything but the time of its last
// authentication.
func etag(edition int) string { return `"` + strconv.Itoa(edition) + `"` }

// ifMatch reads the editions that a caller would have changed (RFC 9110
// section 13.1.1); nil when any will do. What no ETag of ours looks like
// matches nothing.
func ifMatch(header string) []int {
	if header == "" || strings.TrimSpace(header) == "*" {
		return nil
	}
	editions := []int{}
	for tag := range strings.SplitSeq(header, ",") {
		if edition, err := strconv.Atoi(strings.Trim(strings.TrimSpace(tag), `"`)); err == nil {
			editions = append(editions, edition)
		}
	}
	return editions
}
