package registry

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/nullable"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/quota"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/api/wire"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func (h *Handler) changeTier(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	body, err := wire.Decode[gen.TierChange](c)
	if err != nil {
		return err
	}
	outcome, err := h.Ledger.ChangeTier(c.Request.Context(), access.Origin(c), id, domain.ChangeTier{
		Caller: access.Caller(c), Tier: domain.Tier(body.Tier), Reason: body.Reason,
	})
	if err != nil {
		return err
	}
	h.Tiers.Recount(c.Request.Context(), id)
	router.Answer(c, http.StatusOK, outcome.Position, organizationBody(outcome.State))
	return nil
}

// tierStatus answers with the ledger's own figures, but for the calls, of
// which there are no events.
func (h *Handler) tierStatus(c *gin.Context) error {
	ctx := c.Request.Context()
	id, err := access.NamedOrganization(c, h.Ledger)
	if err != nil {
		return err
	}
	standing, _ := h.Revocations.Latest().Standing(id)
	agents, err := h.Ledger.SeatsTaken(ctx, id)
	if err != nil {
		return err
	}
	_, today, resetAt := quota.Day(h.Now())
	tokens, err := h.tokensOn(ctx, id, today)
	if err != nil {
		return err
	}
	calls, err := h.Tiers.CallsToday(ctx, id)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, gen.TierStatus{
		Tier: gen.Tier(standing.Tier),
		Limits: gen.TierLimits{
			MaxAgents:       boundOrNull(standing.Limits.MaxAgents),
			MaxCallsPerDay:  boundOrNull(standing.Limits.MaxCallsPerDay),
			MaxTokensPerDay: boundOrNull(standing.Limits.MaxTokensPerDay),
		},
		Usage:   gen.TierUsage{AgentCount: int64(agents), CallsToday: int64(calls), TokensToday: tokens},
		ResetAt: wire.Time(resetAt),
	})
	return nil
}

// tokensOn counts the tokens of a day with all that were in the ledger when it
// was asked: the caller's token was looked up in all of it.
func (h *Handler) tokensOn(ctx context.Context, id domain.OrganizationID, day time.Time) (int64, error) {
	ctx, cancel := h.Reads.Within(ctx)
	defer cancel()
	if err := h.Reads.AwaitHead(ctx, readmodels.Activity().Name); err != nil {
		return 0, err
	}
	return h.Queries.TokensIssued(ctx, id, day, day)
}

func boundOrNull(limit int) nullable.Nullable[int64] {
	if limit == domain.Unlimited {
		return nullable.NewNullNullable[int64]()
	}
	return nullable.NewNullableWithValue(int64(limit))
}
