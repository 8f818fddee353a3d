package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/policy"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/projections"
)

var (
	errNoBearer  = errors.New("no bearer token")
	errRevoked   = errors.New("token is revoked")
	errForeign   = errors.New("token is for another audience")
	unauthorized = domain.Refuse(domain.CodeUnauthorized, "a valid bearer token is needed: send Authorization: Bearer <access token>")
)

// protect lets a request pass whose bearer token is valid, not revoked and
// allowed at this endpoint. When the ledger cannot be asked about revocations
// the answer is 503, never yes.
func (s *Server) protect(endpoint string) gin.HandlerFunc {
	return func(c *gin.Context) {
		token, err := s.bearer(c)
		if err != nil {
			s.failBearer(c, err)
			return
		}
		caller := token.caller()
		c.Set(principalKey, caller)
		decision, err := s.policy.Decide(c.Request.Context(), policy.Request{
			Endpoint: endpoint, Scopes: caller.Scopes, Relations: relations(c, caller),
		})
		if err != nil {
			s.fail(c, err)
			return
		}
		if !decision.Allow {
			c.Header("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+decision.Missing.String()+`"`)
			s.fail(c, domain.Refuse(domain.CodeInsufficientScope, "the token lacks a scope that this needs: %s", decision.Missing).
				With("required", decision.Missing).With("available", caller.Scopes))
		}
	}
}

// bearer verifies the token of the Authorization header (RFC 6750 section 2.1)
// for use at this server.
func (s *Server) bearer(c *gin.Context) (accessToken, error) {
	scheme, text, found := strings.Cut(c.GetHeader("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") || text == "" || len(c.Request.Header["Authorization"]) != 1 {
		return accessToken{}, errNoBearer
	}
	token, err := s.tokens.verify(text)
	if err != nil {
		return accessToken{}, errors.Join(errNoBearer, err)
	}
	if token.claims.Audience != s.audience {
		return accessToken{}, errForeign
	}
	return token, s.mustBeAlive(c.Request.Context(), token)
}

// mustBeAlive refuses tokens that were revoked before this call, on any node.
func (s *Server) mustBeAlive(ctx context.Context, token accessToken) error {
	if err := s.revocations.Sync(ctx); err != nil {
		return err
	}
	if verdict := s.revocations.Check(token.ref()); verdict != projections.Alive {
		return fmt.Errorf("%w: %s", errRevoked, verdict)
	}
	return nil
}

// failBearer answers 401 without saying what was wrong, or that we cannot tell.
func (s *Server) failBearer(c *gin.Context, err error) {
	for _, ours := range []error{errNoBearer, errRevoked, errForeign} {
		if errors.Is(err, ours) {
			s.metrics.rejectedTokens.Inc()
			c.Header("WWW-Authenticate", `Bearer realm="agentidp", error="invalid_token"`)
			s.fail(c, unauthorized)
			return
		}
	}
	s.fail(c, err)
}

// relations says what the caller is to the thing that the path names: nothing
// when it acts with lent authority, which is a matter of scopes alone.
func relations(c *gin.Context, caller domain.Caller) []string {
	var is []string
	if caller.IsDelegated() {
		return nil
	}
	if id := c.Param("agentId"); id != "" && id == caller.AgentID.String() {
		is = append(is, "self")
	}
	if id := c.Param("orgId"); id != "" && id == caller.OrganizationID.String() {
		is = append(is, "member")
	}
	return slices.Clip(is)
}
