package oauth

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/oauth/clientauth"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/tokens"
)

// errForeignToken is RFC 7009 section 2.1: a client ends its own tokens.
var errForeignToken = oauthError("unauthorized_client", "the token was issued to another client")

// revokeToken is RFC 7009: a client ends one of its own tokens. Section 2.2:
// tokens that are unknown, expired or revoked already are answered 200 too, and
// so is what has been revoked. The body, an empty JSON object, is left to us: there
// are clients that take an answer without a media type, or JSON without a value,
// for a failure.
func (h *Handler) revokeToken(c *gin.Context) error {
	router.NeverCached(c)
	client, err := h.client(c)
	if err != nil {
		return clientauth.Refusal(c, err)
	}
	text, err := tokenOf(c)
	if err != nil {
		return err
	}
	if id, genuine := h.Tokens.ReadDelegation(text); genuine {
		err = h.revokeDelegation(c, client, id)
	} else if token, invalid := h.Tokens.Verify(c.Request.Context(), text); invalid == nil {
		err = h.revokeAccess(c, client, token)
	} else if errors.Is(invalid, tokens.ErrUndecided) {
		err = invalid
	}
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, struct{}{})
	return nil
}

// client authenticates who asks as a client, where being the client is all that
// counts.
func (h *Handler) client(c *gin.Context) (domain.Agent, error) {
	client, err := h.Clients.Authenticate(c, h.Ledger.AuthenticateNow)
	if err != nil {
		return client.Agent, err
	}
	return client.Agent, h.Rates.Admit(c, domain.Caller{AgentID: client.Agent.ID, OrganizationID: client.Agent.OrganizationID})
}

// tokenOf is the token that a request is about.
func tokenOf(c *gin.Context) (string, error) {
	if text := c.Request.PostForm.Get("token"); text != "" {
		return text, nil
	}
	return "", oauthError("invalid_request", "token is missing")
}

func (h *Handler) revokeAccess(c *gin.Context, client domain.Agent, token tokens.Access) error {
	if token.AgentID != client.ID {
		return errForeignToken
	}
	known, err := h.Revocations.Sync(c.Request.Context())
	if err != nil {
		return err
	}
	if known.Check(access.RefOf(token)) != revocation.Alive {
		return nil // it has ended before
	}
	return h.Ledger.RevokeToken(c.Request.Context(), originOf(c, client), client.ID,
		domain.RevokeToken{TokenID: token.TokenID, ExpiresAt: token.ExpiresAt.UTC()})
}

// revokeDelegation ends a delegation. Its token was issued to the delegator,
// whose client alone ends it here.
func (h *Handler) revokeDelegation(c *gin.Context, client domain.Agent, id domain.DelegationID) error {
	ctx := c.Request.Context()
	delegation, err := h.Ledger.Delegation(ctx, id)
	switch {
	case err != nil:
		return err
	case !delegation.Exists(): // of a ledger that was restored
		return nil
	case delegation.DelegatorID != client.ID:
		return errForeignToken
	}
	outcome, err := h.Ledger.RevokeDelegation(ctx, originOf(c, client), id, domain.RevokeDelegation{
		Caller: domain.Caller{AgentID: client.ID, OrganizationID: client.OrganizationID}, Reason: "its token was revoked by the client",
	})
	if err == nil && len(outcome.Events) > 0 {
		h.Counters.DelegationRevoked()
	}
	return err
}

// originOf names the client as the actor.
func originOf(c *gin.Context, client domain.Agent) ledger.Origin {
	return ledger.Origin{Actor: ledger.Actor{Kind: "agent", ID: client.ID.String()}, Request: router.Record(c)}
}
