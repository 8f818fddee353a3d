package api

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func (s *Server) addMember(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	body, err := decode[gen.OrganizationMemberCreate](c)
	if err != nil {
		return err
	}
	outcome, err := s.ledger.AddMember(c.Request.Context(), s.origin(c), id, domain.AddMember{
		Caller:  principal(c),
		AgentID: domain.AgentID{UUID: body.AgentID},
		Role:    domain.Role(body.Role),
		Again:   turnAgain(c),
	})
	if err != nil {
		return err
	}
	router.Answer(c, http.StatusCreated, outcome.Position, memberBody(outcome.State, domain.AgentID{UUID: body.AgentID}))
	return nil
}

func (s *Server) listMembers(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	if _, err := s.ledger.ReadOrganization(c.Request.Context(), principal(c), id); err != nil {
		return err
	}
	page := pageOf(c)
	members, err := s.queries.Members(c.Request.Context(), readmodels.InOrganization(id), id, page)
	if err != nil {
		return err
	}
	answerList(c, page, members, func(m readmodels.Member) gen.OrganizationMember {
		return gen.OrganizationMember{OrganizationID: id.UUID, AgentID: m.AgentID.UUID, Role: gen.MemberRole(m.Role)}
	})
	return nil
}

func (s *Server) changeMember(c *gin.Context) error {
	id, agent, err := memberInPath(c)
	if err != nil {
		return err
	}
	body, err := decode[gen.OrganizationMemberUpdate](c)
	if err != nil {
		return err
	}
	outcome, err := s.ledger.ChangeMemberRole(c.Request.Context(), s.origin(c), id,
		domain.ChangeMemberRole{Caller: principal(c), AgentID: agent, Role: domain.Role(body.Role)})
	if err != nil {
		return err
	}
	router.Answer(c, http.StatusOK, outcome.Position, memberBody(outcome.State, agent))
	return nil
}

func (s *Server) removeMember(c *gin.Context) error {
	id, agent, err := memberInPath(c)
	if err != nil {
		return err
	}
	outcome, err := s.ledger.RemoveMember(c.Request.Context(), s.origin(c), id, domain.RemoveMember{Caller: principal(c), AgentID: agent})
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
