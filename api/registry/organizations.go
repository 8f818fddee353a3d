package registry

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/nullable"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/idempotency"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
)

func (h *Handler) createOrganization(c *gin.Context) error {
	body, err := wire.Decode[gen.OrganizationCreate](c)
	if err != nil {
		return err
	}
	id := domain.OrganizationID{UUID: idempotency.NewID(c)}
	outcome, err := h.Ledger.CreateOrganization(c.Request.Context(), access.Origin(c), domain.CreateOrganization{
		Caller:            access.Caller(c),
		OrganizationID:    id,
		Name:              body.Name,
		Slug:              body.Slug,
		PlanTier:          domain.Tier(wire.ValueOf(body.PlanTier)),
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

func (h *Handler) listOrganizations(c *gin.Context) error {
	page := wire.PageOf(c)
	organizations, err := h.Queries.Organizations(c.Request.Context(), access.Tenant(c), page)
	if err != nil {
		return err
	}
	wire.AnswerList(c, page, organizations, organizationBody)
	return nil
}

func (h *Handler) getOrganization(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	organization, err := h.Ledger.ReadOrganization(c.Request.Context(), access.Caller(c), id)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, organizationBody(organization))
	return nil
}

func (h *Handler) updateOrganization(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	body, err := wire.Decode[gen.OrganizationUpdate](c)
	if err != nil {
		return err
	}
	outcome, err := h.Ledger.UpdateOrganization(c.Request.Context(), access.Origin(c), id, domain.UpdateOrganization{
		Caller:            access.Caller(c),
		Name:              body.Name,
		PlanTier:          (*domain.Tier)(body.PlanTier),
		MaxAgents:         overrideOf(body.MaxAgents),
		MaxCallsPerDay:    overrideOf(body.MaxCallsPerDay),
		MaxTokensPerDay:   overrideOf(body.MaxTokensPerDay),
		MaxTokensPerMonth: overrideOf(body.MaxTokensPerMonth),
		Status:            (*domain.OrganizationStatus)(body.Status),
		Reason:            wire.ValueOf(body.Reason),
	})
	if err != nil {
		return err
	}
	h.Tiers.Recount(c.Request.Context(), id)
	router.Answer(c, http.StatusOK, outcome.Position, organizationBody(outcome.State))
	return nil
}

func (h *Handler) deleteOrganization(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	outcome, err := h.Ledger.DeleteOrganization(c.Request.Context(), access.Origin(c), id, domain.DeleteOrganization{Caller: access.Caller(c)})
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
		CreatedAt:         wire.Time(o.CreatedAt),
		UpdatedAt:         wire.Time(o.UpdatedAt),
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
