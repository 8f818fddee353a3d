package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/tokens"
)

const (
	tokenPath = "/oauth2/token"

	grantClientCredentials = "client_credentials"
)

type tokenResponse struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type,omitempty"` // RFC 8693 section 2.2.1
	TokenType       string `json:"token_type"`
	ExpiresIn       int    `json:"expires_in"`
	Scope           string `json:"scope"`
	IDToken         string `json:"id_token,omitempty"`
}

// issueToken is the token endpoint: the client credentials of RFC 6749 section
// 4.4, and the token exchange of RFC 8693. The token is signed only after its
// issuance is durable in the ledger.
func (s *Server) issueToken(c *gin.Context) error {
	router.NeverCached(c)
	if s.options.Delegation && c.Request.PostForm.Get("grant_type") == grantTokenExchange {
		return s.exchangeToken(c)
	}
	command, key, err := s.tokenRequest(c.Request.PostForm)
	if err != nil {
		return s.refuseClient(c, err)
	}
	who, err := s.identifyClient(c)
	if err != nil {
		return s.refuseClient(c, s.recordFailure(c, who.agentID, err))
	}
	command.Proof = who.proof
	admission := s.admission(c, who.agentID)
	issued, err := s.ledger.IssueToken(c.Request.Context(), s.clientOrigin(c, who.agentID), who.agentID, command, admission.take)
	if err = admission.close(c, err); err != nil {
		return s.refuseClient(c, s.recordFailure(c, who.agentID, err))
	}
	response, err := s.signTokens(key, issued, c.Request.PostForm.Get("nonce"))
	if err != nil {
		return err
	}
	s.metrics.countToken(response.Scope)
	c.JSON(http.StatusOK, response)
	return nil
}

// tokenRequest reads what is asked for, whoever asks, and chooses the key that
// the event is going to name and that is going to sign.
func (s *Server) tokenRequest(form url.Values) (command domain.IssueToken, key *keyring.SigningKey, err error) {
	switch grant := form.Get("grant_type"); {
	case slices.Contains(s.grants(), grant):
	case grant == "":
		return command, nil, &protocolError{"invalid_request", "grant_type is missing"}
	default:
		return command, nil, &protocolError{"unsupported_grant_type", "grant_type must be one of " + strings.Join(s.grants(), ", ")}
	}
	if command.Audience, err = s.target(form); err != nil {
		return command, nil, err
	}
	if form.Get("scope") != "" {
		command.Scopes = domain.ParseScopes(form.Get("scope"))
	}
	if key, err = s.tokenSigner.Key(); err != nil {
		return command, nil, err
	}
	command.TokenID = domain.TokenID{UUID: ledger.NewID()}
	command.Algorithm, command.KeyID = key.Algorithm(), key.ID()
	command.At = s.now().UTC()
	return command, key, nil
}

// grants are the values of grant_type that this server takes.
func (s *Server) grants() []string {
	if !s.options.Delegation {
		return []string{grantClientCredentials}
	}
	return []string{grantClientCredentials, grantTokenExchange}
}

// clientOrigin names the client as the actor: it has authenticated by the time
// the event is stored.
func (s *Server) clientOrigin(c *gin.Context, id domain.AgentID) ledger.Origin {
	return ledger.Origin{Actor: ledger.Actor{Kind: "agent", ID: id.String()}, Request: router.Record(c)}
}

func (s *Server) signTokens(key *keyring.SigningKey, issuance ledger.Issued, nonce string) (tokenResponse, error) {
	issued, agent := issuance.Token, issuance.Agent
	issuedAt := issued.ExpiresAt.Add(-domain.TokenLifetime)
	access, err := tokens.SignAccess(key, tokens.AccessClaims{
		Issuer:         s.issuer,
		Subject:        agent.ID.String(),
		Audience:       issued.Audience,
		ClientID:       agent.ID.String(),
		IssuedAt:       issuedAt.Unix(),
		ExpiresAt:      issued.ExpiresAt.Unix(),
		ID:             issued.TokenID.String(),
		Scope:          issued.Scope,
		AgentID:        agent.ID.String(),
		OrganizationID: agent.OrganizationID.String(),
		CredentialID:   issued.CredentialID.String(),
		Ledger:         uint64(issuance.Position),
		Event:          issuance.EventID.String(),
		Basis:          uint64(issuance.Basis),
	})
	if err != nil {
		return tokenResponse{}, err
	}
	response := tokenResponse{
		AccessToken: access,
		TokenType:   "Bearer",
		ExpiresIn:   int(domain.TokenLifetime / time.Second),
		Scope:       issued.Scope,
	}
	if domain.ParseScopes(issued.Scope).Has(domain.ScopeOpenID) {
		response.IDToken, err = s.signIDToken(key, agent, issued, issuedAt, nonce)
	}
	return response, err
}

func (s *Server) signIDToken(key *keyring.SigningKey, agent domain.Agent, issued domain.TokenIssued, issuedAt time.Time, nonce string) (string, error) {
	return tokens.SignID(key, tokens.IDClaims{
		Issuer:         s.issuer,
		Subject:        agent.ID.String(),
		Audience:       agent.ID.String(),
		IssuedAt:       issuedAt.Unix(),
		ExpiresAt:      issued.ExpiresAt.Unix(),
		Nonce:          nonce,
		OrganizationID: agent.OrganizationID.String(),
		AgentType:      agent.Profile.AgentType,
		Owner:          agent.Profile.Owner,
		Version:        agent.Profile.Version,
		DID:            agent.DID,
	})
}
