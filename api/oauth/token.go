package oauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/oauth/clientauth"
	"github.com/sentryagent/agentidp/api/oauth/grants"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/tokens"
)

type tokenResponse struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type,omitempty"` // RFC 8693 section 2.2.1
	TokenType       string `json:"token_type"`
	ExpiresIn       int    `json:"expires_in"`
	Scope           string `json:"scope"`
	IDToken         string `json:"id_token,omitempty"`
}

// issueToken is the token endpoint (RFC 6749 section 3.2): read the request,
// find out who asks, decide, count, put the issuance on record, sign, answer. The
// token is signed only after its issuance is durable in the ledger, and by the key
// that the event names.
func (h *Handler) issueToken(c *gin.Context) error {
	router.NeverCached(c)
	attempt, request, err := h.read(c.Request.PostForm)
	if err != nil {
		return err
	}
	holder, err := attempt.Authenticate(c)
	if err != nil {
		return clientauth.Refusal(c, err)
	}
	offer, err := holder.Offer(c.Request.Context(), request)
	if err := h.admit(c, holder.Agent(), offer, err); err != nil {
		return h.refuse(c, holder, err)
	}
	issued, err := offer.Issue(c.Request.Context(), holder.Origin(c))
	if err != nil {
		return h.refuse(c, holder, err)
	}
	response, err := h.sign(request, issued)
	if err != nil {
		return err
	}
	h.Counters.token(response.Scope)
	c.JSON(http.StatusOK, response)
	return nil
}

// refuse is for a holder who had authenticated. One that is not let in any more
// has failed after all, and that is put on record.
func (h *Handler) refuse(c *gin.Context, holder grants.Holder, err error) error {
	return clientauth.Refusal(c, h.Clients.Failed(c, holder.Agent(), err))
}

// read says what is asked for, whoever asks, and chooses the key that the event
// is going to name and that is going to sign.
func (h *Handler) read(form url.Values) (grants.Attempt, grants.Request, error) {
	var request grants.Request
	grant, err := h.grant(form.Get("grant_type"))
	if err != nil {
		return nil, request, err
	}
	attempt, err := grant.Read(form)
	if err != nil {
		return nil, request, err
	}
	if request.Audience, err = h.target(form); err != nil {
		return nil, request, err
	}
	if form.Get("scope") != "" {
		request.Scopes = domain.ParseScopes(form.Get("scope"))
	}
	if request.Key, err = h.Signer.Key(); err != nil {
		return nil, request, err
	}
	request.TokenID = domain.TokenID{UUID: ledger.NewID()}
	request.Nonce = form.Get("nonce")
	request.At = h.Now().UTC()
	return attempt, request, nil
}

// grant finds a grant by its grant_type.
func (h *Handler) grant(name string) (grants.Grant, error) {
	if name == "" {
		return nil, oauthError("invalid_request", "grant_type is missing")
	}
	at := slices.IndexFunc(h.Grants, func(g grants.Grant) bool { return g.Name() == name })
	if at < 0 {
		return nil, oauthError("unsupported_grant_type", "grant_type must be one of "+strings.Join(h.GrantTypes(), ", "))
	}
	return h.Grants[at], nil
}

// sign makes the tokens of an issuance that is on record.
func (h *Handler) sign(request grants.Request, issued grants.Issuance) (tokenResponse, error) {
	response := tokenResponse{
		IssuedTokenType: issued.TokenType,
		TokenType:       "Bearer",
		ExpiresIn:       int(issued.Claims.ExpiresAt - issued.Claims.IssuedAt),
		Scope:           issued.Claims.Scope,
	}
	issued.Claims.Issuer = h.Issuer
	var err error
	if response.AccessToken, err = tokens.SignAccess(request.Key, issued.Claims); err != nil {
		return response, err
	}
	if issued.Identity != nil {
		issued.Identity.Issuer = h.Issuer
		response.IDToken, err = tokens.SignID(request.Key, *issued.Identity)
	}
	return response, err
}
