// Package grants holds the ways to a token (RFC 6749 section 1.3), one file each.
//
// A token is got in steps, each of which can only be taken on what the one before it gave: a [Grant] read from a form
// gives an [Attempt], whose authentication gives a [Holder], who gets an [Offer], which is issued. What is issued is on
// record and may be signed. The token endpoint takes the steps, and counts between the offer and the issuance.
package grants

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/tokens"
)

// Grant is a way to a token.
type Grant interface {
	// Name is the grant_type.
	Name() string
	// Read looks at the parameters that are this grant's own, before anybody is
	// looked for.
	Read(form url.Values) (Attempt, error)
}

// Attempt is a well-formed request, by nobody yet.
type Attempt interface {
	// Authenticate finds out who asks. A failed client authentication has been
	// put on record.
	Authenticate(c *gin.Context) (Holder, error)
}

// Request is what is asked for by any grant.
type Request struct {
	TokenID  domain.TokenID
	Scopes   domain.Scopes // nil: what there is to be had
	Audience string
	Nonce    string              // of OpenID Connect
	Key      *keyring.SigningKey // which the event names, and which signs
	At       time.Time
}

// Holder is who is going to hold the token.
type Holder interface {
	Agent() domain.AgentID
	Origin(c *gin.Context) ledger.Origin
	// Offer decides, and records nothing.
	Offer(ctx context.Context, request Request) (Offer, error)
}

// Offer is a token that has been decided on.
type Offer interface {
	// Organization is the one that the token counts for.
	Organization() domain.OrganizationID
	// Issue puts the issuance on record. It decides again, on the state that the
	// record is appended to.
	Issue(ctx context.Context, origin ledger.Origin) (Issuance, error)
}

// Issuance is a token that is on record. Its claims lack the issuer.
type Issuance struct {
	Claims    tokens.AccessClaims
	Identity  *tokens.IDClaims // nil: no ID token goes with it
	TokenType string           // of the answer, where the grant wants one (RFC 8693 section 2.2.1)
}

// clientOrigin names the client as the actor: it has authenticated by the time
// the event is stored.
func clientOrigin(c *gin.Context, id domain.AgentID) ledger.Origin {
	return ledger.Origin{Actor: ledger.Actor{Kind: "agent", ID: id.String()}, Request: router.Record(c)}
}

func badRequest(description string) error {
	return &router.OAuthError{Status: http.StatusBadRequest, Name: "invalid_request", Description: description}
}
