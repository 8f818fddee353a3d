package registry

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/idempotency"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func (h *Handler) addMember(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	body, err := wire.Decode[gen.OrganizationMemberCreate](c)
	if err != nil {
		return err
	}
	outcome, err := h.Ledger.AddMember(c.Request.Context(), access.Origin(c), id, domain.AddMember{
		Caller:  access.Caller(c),
		AgentID: domain.AgentID{UUID: body.AgentID},
		Role:    domain.Role(body.Role),
		Again:   idempotency.Again(c),
	})
	if err != nil {
		return err
	}
	router.Answer(c, http.StatusCreated, outcome.Position, memberBody(outcome.State, domain.AgentID{UUID: body.AgentID}))
	return nil
}

func (h *Handler) listMembers(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	if _, err := h.Ledger.ReadOrganization(c.Request.Context(), access.Caller(c), id); err != nil {
		return err
	}
	page := wire.PageOf(c)
	members, err := h.Queries.Members(c.Request.Context(), readmodels.InOrganization(id), id, page)
	if err != nil {
		return err
	}
	wire.AnswerList(c, page, members, func(m readmodels.Member) gen.OrganizationMember {
		return gen.OrganizationMember{OrganizationID: id.UUID, AgentID: m.AgentID.UUID, Role: gen.MemberRole(m.Role)}
	})
	return nil
}

func (h *Handler) changeMember(c *gin.Context) error {
	id, agent, err := memberInPath(c)
	if err != nil {
		return err
	}
	body, err := wire.Decode[gen.OrganizationMemberUpdate](c)
	if err != nil {
		return err
	}
	outcome, err := h.Ledger.ChangeMemberRole(c.Request.Context(), access.Origin(c), id,
		domain.ChangeMemberRole{Caller: access.Caller(c), AgentID: agent, Role: domain.Role(body.Role)})
	if err != nil {
		return err
	}
	router.Answer(c, http.StatusOK, outcome.Position, memberBody(outcome.State, agent))
	return nil
}

func (h *Handler) removeMember(c *gin.Context) error {
	id, agent, err := memberInPath(c)
	if err != nil {
		return err
	}
	outcome, err := h.Ledger.RemoveMember(c.Request.Context(), access.Origin(c), id, domain.RemoveMember{Caller: access.Caller(c), AgentID: agent})
	if err != nil {
		return err
	}
	router.Answer(c, http.StatusNoContent, outcome.Position, nil)
	return nil
}

func memberInPath(c *gin.Context) (id domain.OrganizationID, agent domain.AgentID, err error) {
	if id, err = domain.ParseOrganizationID(c.Param("orgId")); err != nil {
		return id, agent, err
	}
	agent, err = domain.ParseAgentID(c.Param("agentId"))
	return id, agent, err
}

func memberBody(o domain.Organization, agent domain.AgentID) gen.OrganizationMember {
	return gen.OrganizationMember{OrganizationID: o.ID.UUID, AgentID: agent.UUID, Role: gen.MemberRole(o.Members[agent])}
}
