package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/tokens"
)

const tokenPath = "/oauth2/token"

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
func (s *Server) issueToken(c *gin.Context) error {
	router.NeverCached(c)
	grant, request, err := s.readTokenRequest(c.Request.PostForm)
	if err != nil {
		return s.refuseClient(c, err)
	}
	holder, err := grant.authenticate(c)
	if err != nil {
		return s.refuseClient(c, err)
	}
	offer, err := holder.offer(c.Request.Context(), request)
	if err := s.admitToken(c, holder.agent(), offer, err); err != nil {
		return s.refuseClient(c, s.recordFailure(c, holder.agent(), err))
	}
	issued, err := offer.issue(c.Request.Context(), holder.origin(c))
	if err != nil {
		return s.refuseClient(c, s.recordFailure(c, holder.agent(), err))
	}
	response, err := s.sign(request, issued)
	if err != nil {
		return err
	}
	s.metrics.countToken(response.Scope)
	c.JSON(http.StatusOK, response)
	return nil
}

// readTokenRequest reads what is asked for, whoever asks, and chooses the key
// that the event is going to name and that is going to sign.
func (s *Server) readTokenRequest(form url.Values) (grant, tokenRequest, error) {
	var request tokenRequest
	grant, err := s.grantOf(form.Get("grant_type"))
	if err != nil {
		return nil, request, err
	}
	if err := grant.read(form); err != nil {
		return nil, request, err
	}
	if request.audience, err = s.target(form); err != nil {
		return nil, request, err
	}
	if form.Get("scope") != "" {
		request.scopes = domain.ParseScopes(form.Get("scope"))
	}
	if request.key, err = s.tokenSigner.Key(); err != nil {
		return nil, request, err
	}
	request.tokenID = domain.TokenID{UUID: ledger.NewID()}
	request.nonce = form.Get("nonce")
	request.at = s.now().UTC()
	return grant, request, nil
}

// grantOf finds a grant by its grant_type.
func (s *Server) grantOf(name string) (grant, error) {
	names := s.grants()
	switch {
	case name == "":
		return nil, &protocolError{"invalid_request", "grant_type is missing"}
	case !slices.Contains(names, name):
		return nil, &protocolError{"unsupported_grant_type", "grant_type must be one of " + strings.Join(names, ", ")}
	case name == grantTokenExchange:
		return &tokenExchange{server: s}, nil
	}
	return &clientCredentials{s}, nil
}

// grants are the values of grant_type that this server takes.
func (s *Server) grants() []string {
	if !s.exchanges {
		return []string{grantClientCredentials}
	}
	return []string{grantClientCredentials, grantTokenExchange}
}

// sign makes the tokens of an issuance that is on record.
func (s *Server) sign(request tokenRequest, issued issuance) (tokenResponse, error) {
	response := tokenResponse{
		IssuedTokenType: issued.tokenType,
		TokenType:       "Bearer",
		ExpiresIn:       int(issued.claims.ExpiresAt - issued.claims.IssuedAt),
		Scope:           issued.claims.Scope,
	}
	issued.claims.Issuer = s.issuer
	var err error
	if response.AccessToken, err = tokens.SignAccess(request.key, issued.claims); err != nil {
		return response, err
	}
	if issued.identity != nil {
		issued.identity.Issuer = s.issuer
		response.IDToken, err = tokens.SignID(request.key, *issued.identity)
	}
	return response, err
}
