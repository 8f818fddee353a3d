package registry

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
)

// revokeOrganizationAccess and revokeAgentAccess keep no answers for an
// Idempotency-Key: whoever sends one of them again ends what came in between.

func (h *Handler) revokeOrganizationAccess(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	body, err := wire.Decode[gen.AccessRevocation](c)
	if err != nil {
		return err
	}
	command := domain.RevokeOrganizationsAccess{Caller: access.Caller(c), Reason: body.Reason, Credentials: wire.ValueOf(body.Credentials)}
	outcome, err := h.Ledger.RevokeOrganizationsAccess(c.Request.Context(), access.Origin(c), id, command)
	if err != nil {
		return err
	}
	router.Answer(c, http.StatusOK, outcome.Position, gen.OrganizationAccessRevoked{
		OrganizationID: id.UUID, RevokedAt: wire.Time(outcome.State.UpdatedAt), Credentials: command.Credentials, Reason: command.Reason,
	})
	return nil
}

func (h *Handler) revokeAgentAccess(c *gin.Context) error {
	id, err := domain.ParseAgentID(c.Param("agentId"))
	if err != nil {
		return err
	}
	body, err := wire.Decode[gen.AccessRevocation](c)
	if err != nil {
		return err
	}
	command := domain.RevokeAgentsAccess{Caller: access.Caller(c), Reason: body.Reason, Credentials: wire.ValueOf(body.Credentials)}
	outcome, err := h.Ledger.RevokeAgentsAccess(c.Request.Context(), access.Origin(c), id, command)
	if err != nil {
		return err
	}
	router.Answer(c, http.StatusOK, outcome.Position, gen.AgentAccessRevoked{
		AgentID: id.UUID, RevokedAt: wire.Time(outcome.State.UpdatedAt), Credentials: command.Credentials, Reason: command.Reason,
	})
	return nil
}
