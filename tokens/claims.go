package tokens

import (
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sentryagent/agentidp/domain"
)

// AccessClaims are the claims of an access token: RFC 9068 section 2.2, and ours.
type AccessClaims struct {
	Issuer         string `json:"iss"`
	Subject        string `json:"sub"`
	Audience       string `json:"aud"`
	ClientID       string `json:"client_id"`
	IssuedAt       int64  `json:"iat"`
	ExpiresAt      int64  `json:"exp"`
	NotBefore      int64  `json:"nbf,omitempty"` // ours have none: they are valid from the start
	ID             string `json:"jti"`
	Scope          string `json:"scope"`
	AgentID        string `json:"agent_id"`
	OrganizationID string `json:"organization_id"`
	CredentialID   string `json:"credential_id"`
	Ledger         uint64 `json:"ledger"`          // the position of the event that recorded the issuance
	Event          string `json:"event,omitempty"` // the id of that event; tokens of older builds have none
	// Basis is the position up to which what the token rests on was known to be
	// alive. Any end after it ends the token, also one recorded before the token.
	Basis uint64 `json:"basis,omitempty"`

	// What follows stands in tokens that act under a delegation alone. There sub
	// is the delegator at the root of the chain; agent_id and client_id are who
	// acts.
	Actor      *Actor `json:"act,omitempty"`
	Delegation string `json:"delegation,omitempty"` // the link that was exchanged
}

// Actor is RFC 8693 section 4.1: the outermost is who acts, those inside
// lent it the authority on.
type Actor struct {
	Subject string `json:"sub"`
	Actor   *Actor `json:"act,omitempty"`
}

// Actors nests who acts, outermost first, inside whom each had it from.
func Actors(agents []domain.AgentID) *Actor {
	if len(agents) == 0 {
		return nil
	}
	return &Actor{Subject: agents[0].String(), Actor: Actors(agents[1:])}
}

// IDClaims are those of OpenID Connect Core section 2, and what we know of the agent.
type IDClaims struct {
	Issuer         string           `json:"iss"`
	Subject        string           `json:"sub"`
	Audience       string           `json:"aud"`
	IssuedAt       int64            `json:"iat"`
	ExpiresAt      int64            `json:"exp"`
	Nonce          string           `json:"nonce,omitempty"`
	OrganizationID string           `json:"organization_id"`
	AgentType      domain.AgentType `json:"agent_type"`
	Owner          string           `json:"owner"`
	Version        string           `json:"version"`
	DID            string           `json:"did"`
}

// The methods by which golang-jwt checks the registered claims.

// GetIssuer implements [jwt.Claims].
func (c *AccessClaims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject implements [jwt.Claims].
func (c *AccessClaims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience implements [jwt.Claims].
func (c *AccessClaims) GetAudience() (jwt.ClaimStrings, error) {
	return jwt.ClaimStrings{c.Audience}, nil
}

// GetNotBefore implements [jwt.Claims].
func (c *AccessClaims) GetNotBefore() (*jwt.NumericDate, error) {
	if c.NotBefore == 0 {
		return nil, nil //nolint:nilnil // absent
	}
	return jwt.NewNumericDate(time.Unix(c.NotBefore, 0)), nil
}

// GetIssuedAt implements [jwt.Claims].
func (c *AccessClaims) GetIssuedAt() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.IssuedAt, 0)), nil
}

// GetExpirationTime implements [jwt.Claims].
func (c *AccessClaims) GetExpirationTime() (*jwt.NumericDate, error) {
	if c.ExpiresAt == 0 {
		return nil, nil //nolint:nilnil // absent; the parser requires it
	}
	return jwt.NewNumericDate(time.Unix(c.ExpiresAt, 0)), nil
}
