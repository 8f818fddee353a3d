package api

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func (s *Server) listDelegations(c *gin.Context) error {
	organization, err := s.namedOrganization(c)
	if err != nil {
		return err
	}
	filter, err := s.delegationFilter(c, organization)
	if err != nil {
		return err
	}
	tenant := readmodels.InOrganization(organization)
	if c.Query("organizationId") == "" && !filter.AgentID.IsZero() {
		tenant = tenantOf(principal(c)) // an agent says where to look, as in the audit trail
	}
	found, err := s.queries.Delegations(c.Request.Context(), tenant, filter)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gen.DelegationList{
		Data: mapped(found.Items, listedDelegation), Total: int64(found.Total), Page: filter.Page.Number, Limit: filter.Page.Limit,
	})
	return nil
}

// delegationFilter confines a caller to what it may see: all of an organization
// are for its admins and the operator, an agent's own for the agent, and with
// lent authority only what was lent and lent on.
func (s *Server) delegationFilter(c *gin.Context, organization domain.OrganizationID) (readmodels.DelegationFilter, error) {
	caller := principal(c)
	filter := readmodels.DelegationFilter{
		Status: readmodels.DelegationStatus(c.Query("status")), At: s.now(), Page: pageOf(c),
	}
	var err error
	if filter.AgentID, err = optionalAgentID(c, "agentId"); err != nil {
		return filter, err
	}
	all, err := s.maySeeAllOf(c, organization)
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
func (s *Server) maySeeAllOf(c *gin.Context, id domain.OrganizationID) (bool, error) {
	caller := principal(c)
	if caller.IsOperator() {
		return true, nil
	}
	_, err := s.ledger.ReadOrganization(c.Request.Context(), caller, id)
	var refused *domain.Error
	if errors.As(err, &refused) {
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
		Scopes:           genScopes(d.Scopes),
		TTLSeconds:       d.TTLSeconds,
		MaxDepth:         d.MaxDepth,
		Depth:            d.Depth,
		ParentChainID:    idOrNull(d.ParentID.UUID),
		IssuedAt:         timestampOf(d.IssuedAt()),
		ExpiresAt:        timestampOf(d.ExpiresAt),
		RevokedAt:        timestampOrNull(d.EndedAt),
		CreatedAt:        timestampOf(d.CreatedAt),
		Status:           gen.DelegationStatus(d.Status),
	}
}
