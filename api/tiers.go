package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/oapi-codegen/nullable"

	"github.com/sentryagent/agentidp/api/gen"
	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

func (s *Server) changeTier(c *gin.Context) error {
	id, err := domain.ParseOrganizationID(c.Param("orgId"))
	if err != nil {
		return err
	}
	body, err := decode[gen.TierChange](c)
	if err != nil {
		return err
	}
	outcome, err := s.ledger.ChangeTier(c.Request.Context(), s.origin(c), id, domain.ChangeTier{
		Caller: principal(c), Tier: domain.Tier(body.Tier), Reason: body.Reason,
	})
	if err != nil {
		return err
	}
	s.quota.recount(c.Request.Context(), id)
	router.Answer(c, http.StatusOK, outcome.Position, organizationBody(outcome.State))
	return nil
}

// tierStatus answers with the ledger's own figures, but for the calls, of
// which there are no events.
func (s *Server) tierStatus(c *gin.Context) error {
	ctx := c.Request.Context()
	id, err := s.namedOrganization(c)
	if err != nil {
		return err
	}
	standing, _ := s.revocations.Latest().Standing(id)
	agents, err := s.ledger.SeatsTaken(ctx, id)
	if err != nil {
		return err
	}
	_, today, resetAt := day(s.now())
	tokens, err := s.tokensOn(ctx, id, today)
	if err != nil {
		return err
	}
	calls, err := s.limiter.Take(ctx, limits.Demand{
		Counters: []limits.Counter{s.quota.calls(id, standing.Limits)}, Look: true,
	})
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
		Usage:   gen.TierUsage{AgentCount: int64(agents), CallsToday: int64(calls.Counts[0]), TokensToday: tokens},
		ResetAt: timestampOf(resetAt),
	})
	return nil
}

// tokensOn counts the tokens of a day with all that were in the ledger when it
// was asked: the caller's token was looked up in all of it.
func (s *Server) tokensOn(ctx context.Context, id domain.OrganizationID, day time.Time) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.ReadWait)
	defer cancel()
	if err := s.progress.WaitFor(ctx, s.revocations.Latest().Position(), readmodels.Activity().Name); err != nil {
		return 0, err
	}
	return s.queries.TokensIssued(ctx, id, day, day)
}

func boundOrNull(limit int) nullable.Nullable[int64] {
	if limit == domain.Unlimited {
		return nullable.NewNullNullable[int64]()
	}
	return nullable.NewNullableWithValue(int64(limit))
}
