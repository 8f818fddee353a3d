package api

import (
	"errors"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/quota"
	"github.com/sentryagent/agentidp/domain"
)

// admitToken counts a token request, once its client has authenticated and it
// is decided: for the client's window, and where a token was offered for the limits
// of its organization as well. It says on the answer how the client stands. The
// error is why there is no token: the refusal that was decided, or that of a
// request too many.
func (s *Server) admitToken(c *gin.Context, client domain.AgentID, offered offer, refused error) error {
	windows := s.rates.TokenWindow(client)
	if refused != nil {
		if errors.As(refused, new(*domain.Error)) && quota.IsCallersFault(refused) {
			quota.MarkCounted(c)
			if tooMany := s.rates.Take(c, quota.Token, windows); tooMany != nil {
				return tooMany
			}
		}
		return refused
	}
	outcome, err := s.tiers.TakeToken(c.Request.Context(), offered.organization(), windows)
	if err != nil && !errors.Is(err, &domain.Error{Code: domain.CodeTierLimit}) {
		return err
	}
	quota.MarkCounted(c)
	for i, window := range windows {
		quota.Announce(c, window, outcome.Windows[i])
	}
	if outcome.FullWindow >= 0 {
		return s.rates.TooFast(quota.Token, windows[outcome.FullWindow], outcome.Windows[outcome.FullWindow])
	}
	return err
}
