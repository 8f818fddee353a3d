package api

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/nullable"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

func (s *Server) createOrganization(c *gin.Context) error {
	body, err := decode[gen.OrganizationCreate](c)
	if err != nil {
		return err
	}
	id := domain.OrganizationID{UUID: newID(c)}
	outcome, err := s.ledger.CreateOrganization(c.Request.Context(), s.origin(c), domain.CreateOrganization{
		Caller:            principal(c),
		OrganizationID:    id,
		Name:              body.Name,
		Slug:              body.Slug,
		PlanTier:          domain.Tier(valueOf(body.PlanTier)),
		MaxAgents:         limitOf(body.MaxAgents),
		MaxCallsPerDay:    limitOf(body.MaxCallsPerDay),
		MaxTokensPerDay:   limitOf(body.MaxTokensPerDay),
		MaxTokensPerMonth: limitOf(body.MaxTokensPerMonth),
	})
	if err != nil {
		return err
	}
	c.Header("Location", c.Request.URL.Path+"/"+id.String())
	router.Answer(c, http.StatusCreated, outcome.Position, organizationBody(outcome.State))
	return nil
}

func (s *Server) listOrganizations(c *gin.Context) error {
	page := pageOf(c)
	organizations, err := s.queries.Organizations(c.Request.Context(), tenantOf(principal(c)), page)
	if err != nil {
		return err
	}
	answerList(c, page, organizations, organizationBody)
	return nil
}

func (s *Server) getOrganization(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	organization, err := s.ledger.ReadOrganization(c.Request.Context(), principal(c), id)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, organizationBody(organization))
	return nil
}

func (s *Server) updateOrganization(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	body, err := decode[gen.OrganizationUpdate](c)
	if err != nil {
		return err
	}
	outcome, err := s.ledger.UpdateOrganization(c.Request.Context(), s.origin(c), id, domain.UpdateOrganization{
		Caller:            principal(c),
		Name:              body.Name,
		PlanTier:          (*domain.Tier)(body.PlanTier),
		MaxAgents:         overrideOf(body.MaxAgents),
		MaxCallsPerDay:    overrideOf(body.MaxCallsPerDay),
		MaxTokensPerDay:   overrideOf(body.MaxTokensPerDay),
		MaxTokensPerMonth: overrideOf(body.MaxTokensPerMonth),
		Status:            (*domain.OrganizationStatus)(body.Status),
		Reason:            valueOf(body.Reason),
	})
	if err != nil {
		return err
	}
	s.quota.recount(c.Request.Context(), id)
	router.Answer(c, http.StatusOK, outcome.Position, organizationBody(outcome.State))
	return nil
}

func (s *Server) deleteOrganization(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	outcome, err := s.ledger.DeleteOrganization(c.Request.Context(), s.origin(c), id, domain.DeleteOrganization{Caller: principal(c)})
	if err != nil {
		return err
	}
	router.Answer(c, http.StatusNoContent, outcome.Position, nil)
	return nil
}

func organizationBody(o domain.Organization) gen.Organization {
	return gen.Organization{
		OrganizationID:    o.ID.UUID,
		Name:              o.Name,
		Slug:              o.Slug,
		PlanTier:          gen.Tier(o.Tier),
		MaxAgents:         limitOrNull(o.MaxAgents),
		MaxCallsPerDay:    limitOrNull(o.MaxCallsPerDay),
		MaxTokensPerDay:   limitOrNull(o.MaxTokensPerDay),
		MaxTokensPerMonth: limitOrNull(o.MaxTokensPerMonth),
		Status:            gen.OrganizationStatus(o.Status),
		CreatedAt:         timestampOf(o.CreatedAt),
		UpdatedAt:         timestampOf(o.UpdatedAt),
	}
}

func limitOrNull(limit *int) nullable.Nullable[int64] {
	if limit == nil {
		return nullable.NewNullNullable[int64]()
	}
	return nullable.NewNullableWithValue(int64(*limit))
}

// limitOf is nil for a limit that is absent or null.
func limitOf(n nullable.Nullable[int64]) *int {
	value, err := n.Get()
	if err != nil {
		return nil
	}
	limit := int(value)
	return &limit
}

// overrideOf is nil for a limit that is absent; null takes the override away.
func overrideOf(n nullable.Nullable[int64]) *domain.Override {
	if !n.IsSpecified() {
		return nil
	}
	return &domain.Override{Limit: limitOf(n)}
}
