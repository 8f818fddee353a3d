package api

import (
	"errors"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
)

// admitToken counts a token request, once its client has authenticated and it
// is decided: for the client's window, and where a token was offered for the limits
// of its organization as well. It says on the answer how the client stands. The
// error is why there is no token: the refusal that was decided, or that of a
// request too many.
func (s *Server) admitToken(c *gin.Context, client domain.AgentID, offered offer, refused error) error {
	windows := s.tokenWindow(client)
	if refused != nil {
		if errors.As(refused, new(*domain.Error)) && isCallersFault(refused) {
			c.Set(admittedKey, true)
			if tooMany := s.take(c, scopeToken, windows); tooMany != nil {
				return tooMany
			}
		}
		return refused
	}
	outcome, err := s.quota.take(c.Request.Context(), offered.organization(), windows)
	if err != nil && !errors.Is(err, &domain.Error{Code: domain.CodeTierLimit}) {
		return err
	}
	c.Set(admittedKey, true)
	for i, window := range windows {
		announce(c, window, outcome.Windows[i])
	}
	if outcome.FullWindow >= 0 {
		return s.tooFast(scopeToken, windows[outcome.FullWindow], outcome.Windows[outcome.FullWindow])
	}
	return err
}
