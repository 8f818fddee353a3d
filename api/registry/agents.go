package registry

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/idempotency"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func (h *Handler) registerAgent(c *gin.Context) error {
	body, err := wire.Decode[gen.AgentCreate](c)
	if err != nil {
		return err
	}
	caller := access.Caller(c)
	organization := caller.OrganizationID
	if body.OrganizationID != nil {
		organization = domain.OrganizationID{UUID: *body.OrganizationID}
	}
	id := domain.AgentID{UUID: idempotency.NewID(c)}
	outcome, err := h.Ledger.RegisterAgent(c.Request.Context(), access.Origin(c), domain.RegisterAgent{
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
			Description:   wire.ValueOf(body.Description),
			Metadata:      wire.ValueOf(body.Metadata),
			IsPublic:      wire.ValueOf(body.IsPublic),
		},
		Scopes: wire.ScopesOf(wire.ValueOf(body.Scopes)),
		DID:    h.DID(id),
	})
	if err != nil {
		return err
	}
	h.Registered.WithLabelValues(string(body.DeploymentEnv)).Inc()
	c.Header("Location", c.Request.URL.Path+"/"+id.String())
	answerAgent(c, http.StatusCreated, outcome)
	return nil
}

func (h *Handler) listAgents(c *gin.Context) error {
	organization, err := access.NamedOrganization(c, h.Ledger)
	if err != nil {
		return err
	}
	page := wire.PageOf(c)
	agents, err := h.Queries.Agents(c.Request.Context(), readmodels.InOrganization(organization), readmodels.AgentFilter{
		Owner:     c.Query("owner"),
		AgentType: domain.AgentType(c.Query("agentType")),
		Status:    domain.AgentStatus(c.Query("status")),
		Page:      page,
	})
	if err != nil {
		return err
	}
	wire.AnswerList(c, page, agents, agentBody)
	return nil
}

func (h *Handler) getAgent(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	agent, err := h.Queries.Agent(c.Request.Context(), access.Tenant(c), id)
	if err != nil {
		return access.NotVisible(c, err, "agent", domain.CodeAgentNotFound)
	}
	c.Header("ETag", etag(agent.Edition))
	c.JSON(http.StatusOK, agentBody(agent))
	return nil
}

func (h *Handler) updateAgent(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	body, err := wire.Decode[gen.AgentUpdate](c)
	if err != nil {
		return err
	}
	command := domain.UpdateAgent{
		Caller:        access.Caller(c),
		AgentType:     (*domain.AgentType)(body.AgentType),
		Version:       body.Version,
		Capabilities:  body.Capabilities,
		Owner:         body.Owner,
		DeploymentEnv: (*domain.DeploymentEnv)(body.DeploymentEnv),
		Description:   body.Description,
		Metadata:      body.Metadata,
		IsPublic:      body.IsPublic,
		Status:        (*domain.AgentStatus)(body.Status),
		Reason:        wire.ValueOf(body.Reason),
		IfEdition:     ifMatch(c.GetHeader("If-Match")),
	}
	if body.Scopes != nil {
		scopes := wire.ScopesOf(*body.Scopes)
		command.Scopes = &scopes
	}
	outcome, err := h.Ledger.UpdateAgent(c.Request.Context(), access.Origin(c), id, command)
	if err != nil {
		return err
	}
	answerAgent(c, http.StatusOK, outcome)
	return nil
}

func (h *Handler) decommissionAgent(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	outcome, err := h.Ledger.DecommissionAgent(c.Request.Context(), access.Origin(c), id, domain.DecommissionAgent{Caller: access.Caller(c)})
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
		Scopes:         wire.Scopes(a.Scopes),
		IsPublic:       a.Profile.IsPublic,
		Status:         gen.AgentStatus(a.Status),
		Did:            a.DID,
		DidCreatedAt:   wire.TimeOrNull(a.Keys.CreatedAt),
		CreatedAt:      wire.Time(a.CreatedAt),
		UpdatedAt:      wire.Time(a.UpdatedAt),
		LastAuthAt:     wire.TimeOrNull(a.LastAuthAt),
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
