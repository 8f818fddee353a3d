package delegation

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// toList sends who asks by the other name to the list, with the query as it is.
func toList(c *gin.Context) error {
	target := url.URL{Path: listPath, RawQuery: c.Request.URL.RawQuery}
	c.Header("Location", target.String())
	c.Status(http.StatusPermanentRedirect)
	return nil
}

func (h *Handler) listDelegations(c *gin.Context) error {
	organization, err := access.NamedOrganization(c, h.Ledger)
	if err != nil {
		return err
	}
	filter, err := h.delegationFilter(c, organization)
	if err != nil {
		return err
	}
	tenant := readmodels.InOrganization(organization)
	if c.Query("organizationId") == "" && !filter.AgentID.IsZero() {
		tenant = access.Tenant(c) // an agent says where to look, as in the audit trail
	}
	found, err := h.Queries.Delegations(c.Request.Context(), tenant, filter)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gen.DelegationList{
		Data: wire.Mapped(found.Items, listedDelegation), Total: int64(found.Total), Page: filter.Page.Number, Limit: filter.Page.Limit,
	})
	return nil
}

// delegationFilter confines a caller to what it may see: all of an organization
// are for its admins and the operator, an agent's own for the agent, and with
// lent authority only what was lent and lent on.
func (h *Handler) delegationFilter(c *gin.Context, organization domain.OrganizationID) (readmodels.DelegationFilter, error) {
	caller := access.Caller(c)
	filter := readmodels.DelegationFilter{
		Status: readmodels.DelegationStatus(c.Query("status")), At: h.Now(), Page: wire.PageOf(c),
	}
	var err error
	if filter.AgentID, err = wire.AgentID(c, "agentId"); err != nil {
		return filter, err
	}
	all, err := h.maySeeAllOf(c, organization)
	switch {
	case err != nil:
		return filter, err
	case all:
	case !filter.AgentID.IsZero() && filter.AgentID != caller.AgentID:
		return filter, domain.Refuse(domain.CodeCrossTenant, "you see the delegations that you gave or received yourself; those of others are for admins of the organization").
			With("field", "agentId")
	case caller.IsDelegated():
		filter.Under = caller.Delegation
	default:
		filter.AgentID = caller.AgentID
	}
	role := c.Query("role")
	if filter.Role = readmodels.DelegationRole(role); role != "" && filter.AgentID.IsZero() {
		filter.AgentID = caller.AgentID
	}
	return filter, nil
}

// maySeeAllOf reports whether the caller may read everything of an organization:
// its admins and the operator may.
func (h *Handler) maySeeAllOf(c *gin.Context, id domain.OrganizationID) (bool, error) {
	caller := access.Caller(c)
	if caller.IsOperator() {
		return true, nil
	}
	_, err := h.Ledger.ReadOrganization(c.Request.Context(), caller, id)
	if _, ok := errors.AsType[*domain.Error](err); ok {
		return false, nil
	}
	return err == nil, err
}

func listedDelegation(d readmodels.Delegation) gen.ListedDelegation {
	return gen.ListedDelegation{
		ChainID:          d.ID.UUID,
		TenantID:         d.OrganizationID.UUID,
		DelegatorAgentID: d.DelegatorID.UUID,
		DelegateeAgentID: d.DelegateeID.UUID,
		Scopes:           wire.Scopes(d.Scopes),
		TTLSeconds:       d.TTLSeconds,
		MaxDepth:         d.MaxDepth,
		Depth:            d.Depth,
		ParentChainID:    wire.IDOrNull(d.ParentID.UUID),
		IssuedAt:         wire.Time(d.IssuedAt()),
		ExpiresAt:        wire.Time(d.ExpiresAt),
		RevokedAt:        wire.TimeOrNull(d.EndedAt),
		CreatedAt:        wire.Time(d.CreatedAt),
		Status:           gen.DelegationStatus(d.Status),
	}
}
