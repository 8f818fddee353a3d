package oauth

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/oauth/clientauth"
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
func (h *Handler) introspectToken(c *gin.Context) error {
	router.NeverCached(c)
	asker, err := h.introspector(c)
	if err != nil {
		return clientauth.Refusal(c, err)
	}
	text, err := tokenOf(c)
	if err != nil {
		return err
	}
	answer, err := h.introspect(c.Request.Context(), asker, text)
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
func (h *Handler) introspector(c *gin.Context) (introspector, error) {
	if access.ReadAuthorization(c.Request).Scheme == access.Bearer {
		err := h.Guard.Admit(c, "POST "+IntrospectPath)
		if err == nil {
			err = h.Rates.AdmitCaller(c)
		}
		return introspector{Caller: access.Caller(c)}, err
	}
	client, err := h.client(c)
	return introspector{
		Caller:  domain.Caller{AgentID: client.ID, OrganizationID: client.OrganizationID},
		ownOnly: !client.Scopes.Has(domain.ScopeTokensRead),
	}, err
}

func (h *Handler) introspect(ctx context.Context, asker introspector, text string) (introspection, error) {
	if id, genuine := h.Tokens.ReadDelegation(text); genuine {
		return h.introspectDelegation(ctx, asker, id)
	}
	token, err := h.Tokens.Verify(ctx, text)
	if errors.Is(err, tokens.ErrUndecided) {
		return introspection{}, err
	}
	if err != nil || asker.MayActIn(token.Organization) != nil || asker.ownOnly && token.AgentID != asker.AgentID {
		return introspection{}, nil
	}
	// What has ended is known as of this request: its caller had to be alive.
	if h.Revocations.Latest().Check(access.RefOf(token)) != revocation.Alive {
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

// tokenTypeNone is what RFC 8693 section 2.2.1 calls a token that gives no
// access by itself.
const tokenTypeNone = "N_A"

// introspectDelegation tells what a delegation token gives if its delegatee
// exchanges it now: for whom (sub), who may exchange it (may_act) and, where
// authority was lent on, who did so (act).
func (h *Handler) introspectDelegation(ctx context.Context, asker introspector, id domain.DelegationID) (introspection, error) {
	known := h.Revocations.Latest() // of this request: its caller had to be alive
	alive := known.CheckDelegation(id, known.Position()) == revocation.Alive
	delegation, err := h.Ledger.Delegation(ctx, id)
	if err != nil || !alive || !delegation.Exists() || !asker.mayKnow(delegation) {
		return introspection{}, err
	}
	subject, actors, err := h.Ledger.DelegationParties(ctx, id)
	if err != nil {
		return introspection{}, err
	}
	return introspection{
		Active: true, TokenType: tokenTypeNone, Issuer: h.Issuer,
		Scope:     delegation.Scopes.Within(subject.Scopes).String(),
		IssuedAt:  delegation.IssuedAt().Unix(),
		ExpiresAt: delegation.ExpiresAt.Unix(),
		Subject:   subject.ID.String(), ClientID: delegation.DelegatorID.String(),
		OrganizationID: delegation.OrganizationID.String(), Delegation: id.String(),
		MayAct: tokens.Actors(actors[:1]), Actor: tokens.Actors(actors[1:]),
	}, nil
}

// mayKnow: an agent with tokens:read knows of all of its organization, any other
// of what it gave or received itself.
func (a introspector) mayKnow(d domain.Delegation) bool {
	party := a.AgentID == d.DelegatorID || a.AgentID == d.DelegateeID
	return a.MayActIn(d.OrganizationID) == nil && (party || !a.ownOnly)
}
