package api

import (
	"context"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/tokens"
)

// A token is asked for in steps, each of which can only be taken on what the
// one before it gave: a grant gives a holder, a holder an offer, an offer an
// issuance.

// grant is a way to a token (RFC 6749 section 1.3).
type grant interface {
	// read looks at the parameters that are this grant's own, before anybody is
	// looked for.
	read(form url.Values) error
	// authenticate finds out who asks. A failed client authentication has been
	// put on record.
	authenticate(c *gin.Context) (holder, error)
}

// tokenRequest is what is asked for by any grant.
type tokenRequest struct {
	tokenID  domain.TokenID
	scopes   domain.Scopes // nil: what there is to be had
	audience string
	nonce    string // of OpenID Connect
	key      *keyring.SigningKey
	at       time.Time
}

// holder is who is going to hold the token.
type holder interface {
	agent() domain.AgentID
	origin(c *gin.Context) ledger.Origin
	// offer decides, and records nothing.
	offer(ctx context.Context, request tokenRequest) (offer, error)
}

// offer is a token that has been decided on.
type offer interface {
	organization() domain.OrganizationID
	// issue puts the issuance on record, if nothing has happened that makes the
	// decision another.
	issue(ctx context.Context, origin ledger.Origin) (issuance, error)
}

// issuance is a token that is on record and may be signed.
type issuance struct {
	claims    tokens.AccessClaims
	identity  *tokens.IDClaims // nil: no ID token goes with it
	tokenType string           // of the answer, where the grant wants one
}

// clientOrigin names the client as the actor: it has authenticated by the time
// the event is stored.
func clientOrigin(c *gin.Context, id domain.AgentID) ledger.Origin {
	return ledger.Origin{Actor: ledger.Actor{Kind: "agent", ID: id.String()}, Request: router.Record(c)}
}
