package api

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/tokens"
)

// revokeToken is RFC 7009: a client ends one of its own tokens. Section 2.2:
// tokens that are unknown, expired or revoked already are answered 200 too;
// section 2.1: those of another client are refused.
func (s *Server) revokeToken(c *gin.Context) error {
	router.NeverCached(c)
	agent, err := s.authenticateClient(c)
	if err != nil {
		return s.refuseClient(c, err)
	}
	text := c.Request.PostForm.Get("token")
	if text == "" {
		router.AnswerOAuthError(c, http.StatusBadRequest, "invalid_request", "token is missing")
		return nil
	}
	if id, genuine := tokens.ReadDelegation(s.keys, text); genuine {
		return s.revokeDelegationToken(c, agent, id)
	}
	token, err := s.tokens.Verify(text)
	if err != nil {
		answerRevoked(c)
		return nil
	}
	if token.AgentID != agent.ID {
		refuseForeignToken(c)
		return nil
	}
	err = s.guard.MustBeAlive(c.Request.Context(), token)
	if err == nil {
		command := domain.RevokeToken{TokenID: token.TokenID, ExpiresAt: token.ExpiresAt.UTC()}
		err = s.ledger.RevokeToken(c.Request.Context(), clientOrigin(c, agent.ID), agent.ID, command)
	}
	if err != nil && !errors.Is(err, access.ErrRevoked) {
		return err
	}
	answerRevoked(c)
	return nil
}

// answerRevoked says nothing, as an empty JSON object: RFC 7009 section 2.2
// leaves the body to us, and there are clients that take an answer without a
// media type, or JSON without a value, for a failure.
func answerRevoked(c *gin.Context) { c.JSON(http.StatusOK, struct{}{}) }
