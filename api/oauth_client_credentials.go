package api

import (
	"context"
	"net/url"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/tokens"
)

const grantClientCredentials = "client_credentials"

// clientCredentials is RFC 6749 section 4.4: a client gets a token of its own.
type clientCredentials struct{ server *Server }

func (g *clientCredentials) read(url.Values) error { return nil }

func (g *clientCredentials) authenticate(c *gin.Context) (holder, error) {
	client, err := g.server.authenticate(c, g.server.ledger.Authenticate)
	return tokenClient{g.server.ledger, client}, err
}

// tokenClient is a client that asks for a token of its own.
type tokenClient struct {
	ledger *ledger.Ledger
	ledger.Client
}

func (h tokenClient) agent() domain.AgentID { return h.Agent.ID }

func (h tokenClient) origin(c *gin.Context) ledger.Origin { return clientOrigin(c, h.Agent.ID) }

func (h tokenClient) offer(ctx context.Context, request tokenRequest) (offer, error) {
	made, err := h.ledger.OfferToken(ctx, h.Client, domain.IssueToken{
		TokenID: request.tokenID, Scopes: request.scopes, Audience: request.audience,
		Algorithm: request.key.Algorithm(), KeyID: request.key.ID(), At: request.at,
	})
	return ownToken{h.ledger, made, request}, err
}

// ownToken is a token of the client's own.
type ownToken struct {
	ledger  *ledger.Ledger
	offered ledger.TokenOffer
	request tokenRequest
}

func (o ownToken) organization() domain.OrganizationID { return o.offered.Organization }

func (o ownToken) issue(ctx context.Context, origin ledger.Origin) (issuance, error) {
	issued, err := o.ledger.IssueToken(ctx, origin, o.offered)
	if err != nil {
		return issuance{}, err
	}
	token, agent := issued.Token, issued.Agent
	made := issuance{claims: tokens.AccessClaims{
		Subject:        agent.ID.String(),
		Audience:       token.Audience,
		ClientID:       agent.ID.String(),
		IssuedAt:       token.ExpiresAt.Add(-domain.TokenLifetime).Unix(),
		ExpiresAt:      token.ExpiresAt.Unix(),
		ID:             token.TokenID.String(),
		Scope:          token.Scope,
		AgentID:        agent.ID.String(),
		OrganizationID: agent.OrganizationID.String(),
		CredentialID:   token.CredentialID.String(),
		Ledger:         uint64(issued.Position),
		Event:          issued.EventID.String(),
		Basis:          uint64(issued.Basis),
	}}
	if domain.ParseScopes(token.Scope).Has(domain.ScopeOpenID) {
		made.identity = identityOf(agent, made.claims, o.request.nonce)
	}
	return made, nil
}

func identityOf(agent domain.Agent, access tokens.AccessClaims, nonce string) *tokens.IDClaims {
	return &tokens.IDClaims{
		Subject:        access.Subject,
		Audience:       access.ClientID,
		IssuedAt:       access.IssuedAt,
		ExpiresAt:      access.ExpiresAt,
		Nonce:          nonce,
		OrganizationID: access.OrganizationID,
		AgentType:      agent.Profile.AgentType,
		Owner:          agent.Profile.Owner,
		Version:        agent.Profile.Version,
		DID:            agent.DID,
	}
}
