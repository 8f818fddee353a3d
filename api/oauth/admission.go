package oauth

import (
	"errors"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/oauth/grants"
	"github.com/sentryagent/agentidp/api/quota"
	"github.com/sentryagent/agentidp/domain"
)

// admit counts a token request, once its client has authenticated and it is
// decided: for the client's window, and where a token was offered for the limits of
// its organization as well. It says on the answer how the client stands. The error
// is why there is no token: the refusal that was decided, or that of a request too
// many.
func (h *Handler) admit(c *gin.Context, client domain.AgentID, offer grants.Offer, refused error) error {
	windows := h.Rates.TokenWindow(client)
	if refused != nil {
		if errors.As(refused, new(*domain.Error)) && quota.IsCallersFault(refused) {
			quota.MarkCounted(c)
			if tooMany := h.Rates.Take(c, quota.Token, windows); tooMany != nil {
				return tooMany
			}
		}
		return refused
	}
	outcome, err := h.Tiers.TakeToken(c.Request.Context(), offer.Organization(), windows)
	if err != nil && !errors.Is(err, &domain.Error{Code: domain.CodeTierLimit}) {
		return err
	}
	quota.MarkCounted(c)
	for i, window := range windows {
		quota.Announce(c, window, outcome.Windows[i])
	}
	if outcome.FullWindow >= 0 {
		return h.Rates.TooFast(quota.Token, windows[outcome.FullWindow], outcome.Windows[outcome.FullWindow])
	}
	return err
}
