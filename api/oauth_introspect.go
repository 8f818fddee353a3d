package api

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/tokens"
)

// introspection is RFC 7662 section 2.2. Of a token that is not active nothing
// else is said.
type introspection struct {
	Active         bool   `json:"active"`
	Scope          string `json:"scope,omitempty"`
	ClientID       string `json:"client_id,omitempty"`
	TokenType      string `json:"token_type,omitempty"`
	ExpiresAt      int64  `json:"exp,omitempty"`
	IssuedAt       int64  `json:"iat,omitempty"`
	Subject        string `json:"sub,omitempty"`
	Audience       string `json:"aud,omitempty"`
	Issuer         string `json:"iss,omitempty"`
	ID             string `json:"jti,omitempty"`
	AgentID        string `json:"agent_id,omitempty"`
	OrganizationID string `json:"organization_id,omitempty"`
	Ledger         uint64 `json:"ledger,omitempty"`

	Actor      *tokens.Actor `json:"act,omitempty"`        // RFC 8693 section 4.1
	MayAct     *tokens.Actor `json:"may_act,omitempty"`    // section 4.4, of a delegation token
	Delegation string        `json:"delegation,omitempty"` // that the token acts under, or stands for
}

// introspectToken tells a caller about a token of its own organization, or the
// operator about any. Callers come with a bearer token that has tokens:read or
// authenticate as a client.
func (s *Server) introspectToken(c *gin.Context) error {
	router.NeverCached(c)
	asker, err := s.introspector(c)
	if err != nil {
		return err
	}
	text := c.Request.PostForm.Get("token")
	if text == "" {
		router.AnswerOAuthError(c, http.StatusBadRequest, "invalid_request", "token is missing")
		return nil
	}
	answer, err := s.introspect(c.Request.Context(), asker, text)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, answer)
	return nil
}

// introspector is who asks about a token.
type introspector struct {
	domain.Caller
	ownOnly bool // it may know nothing of tokens that were issued to others
}

// introspector says on whose behalf to look.
func (s *Server) introspector(c *gin.Context) (introspector, error) {
	if access.ReadAuthorization(c.Request).Scheme == access.Bearer {
		err := s.guard.Admit(c, "POST /oauth2/introspect")
		if err == nil {
			err = s.rates.AdmitCaller(c)
		}
		return introspector{Caller: access.Caller(c)}, err
	}
	agent, err := s.authenticateClient(c)
	if err != nil {
		return introspector{}, s.refuseClient(c, err)
	}
	return introspector{
		Caller:  domain.Caller{AgentID: agent.ID, OrganizationID: agent.OrganizationID},
		ownOnly: !agent.Scopes.Has(domain.ScopeTokensRead),
	}, nil
}

func (s *Server) introspect(ctx context.Context, asker introspector, text string) (introspection, error) {
	if id, genuine := tokens.ReadDelegation(s.keys, text); genuine {
		return s.introspectDelegation(ctx, asker, id)
	}
	token, err := s.tokens.Verify(text)
	if err != nil || asker.MayActIn(token.Organization) != nil || asker.ownOnly && token.AgentID != asker.AgentID {
		return introspection{}, nil
	}
	// What has ended is known as of this request: its caller had to be alive.
	if s.revocations.Latest().Check(access.RefOf(token)) != revocation.Alive {
		return introspection{}, nil
	}
	claims := token.Claims
	return introspection{
		Active: true, Scope: claims.Scope, ClientID: claims.ClientID, TokenType: "Bearer",
		ExpiresAt: claims.ExpiresAt, IssuedAt: claims.IssuedAt, Subject: claims.Subject,
		Audience: claims.Audience, Issuer: claims.Issuer, ID: claims.ID,
		AgentID: claims.AgentID, OrganizationID: claims.OrganizationID, Ledger: claims.Ledger,
		Actor: claims.Actor, Delegation: claims.Delegation,
	}, nil
}
