package grants

import (
	"context"
	"net/url"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/oauth/clientauth"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/tokens"
)

// ClientCredentials is RFC 6749 section 4.4: a client gets a token of its own.
type ClientCredentials struct {
	Clients *clientauth.Clients
	Ledger  *ledger.Ledger
}

// Name implements [Grant].
func (g ClientCredentials) Name() string { return "client_credentials" }

// Read implements [Grant]: there are no parameters of its own.
func (g ClientCredentials) Read(url.Values) (Attempt, error) { return g, nil }

// Authenticate implements [Attempt].
func (g ClientCredentials) Authenticate(c *gin.Context) (Holder, error) {
	client, err := g.Clients.Authenticate(c, g.Ledger.Authenticate)
	if err != nil {
		return nil, err
	}
	return clientHolder{g.Ledger, client}, nil
}

// clientHolder is a client that asks for a token of its own.
type clientHolder struct {
	ledger *ledger.Ledger
	client ledger.Client
}

func (h clientHolder) Agent() domain.AgentID { return h.client.Agent.ID }

func (h clientHolder) Origin(c *gin.Context) ledger.Origin { return clientOrigin(c, h.client.Agent.ID) }

func (h clientHolder) Offer(ctx context.Context, request Request) (Offer, error) {
	offered, err := h.ledger.OfferToken(ctx, h.client, domain.IssueToken{
		TokenID: request.TokenID, Scopes: request.Scopes, Audience: request.Audience,
		Algorithm: request.Key.Algorithm(), KeyID: request.Key.ID(), At: request.At,
	})
	return ownToken{h.ledger, offered, request.Nonce}, err
}

// ownToken is a token of the client's own.
type ownToken struct {
	ledger  *ledger.Ledger
	offered ledger.TokenOffer
	nonce   string
}

func (o ownToken) Organization() domain.OrganizationID { return o.offered.Organization }

func (o ownToken) Issue(ctx context.Context, origin ledger.Origin) (Issuance, error) {
	issued, err := o.ledger.IssueToken(ctx, origin, o.offered)
	if err != nil {
		return Issuance{}, err
	}
	token, agent := issued.Token, issued.Agent
	issuance := Issuance{Claims: tokens.AccessClaims{
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
		issuance.Identity = identityOf(agent, issuance.Claims, o.nonce)
	}
	return issuance, nil
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
