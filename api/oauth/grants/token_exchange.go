package grants

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/oauth/clientauth"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/tokens"
)

// The names of RFC 8693 section 3, and ours for what is exchanged.
const (
	typeAccessToken     = "urn:ietf:params:oauth:token-type:access_token"
	typeDelegationToken = "urn:sentryagent:params:oauth:token-type:delegation"
)

// RFC 8693 section 2.2.2: a subject or actor token that is not valid, for
// whatever reason, is an invalid_request.
var (
	errActorToken  = badRequest("actor_token is not a valid access token of the delegatee's own")
	errOtherClient = badRequest("actor_token is another's than the client that has authenticated: both must be the delegatee")
	errNoActor     = badRequest("actor_token is missing: the delegatee sends an access token of its own, or authenticates as a client")
)

// TokenExchange is RFC 8693: a delegation and an access token of the delegatee's
// own, or its client authentication, give an access token that acts for the delegator.
type TokenExchange struct {
	Clients     *clientauth.Clients
	Ledger      *ledger.Ledger
	Revocations *revocation.Index
	Tokens      *tokens.Verifier
	IsOurs      func(audience string) bool // of tokens that are for use at this server
}

// Name implements [Grant].
func (g TokenExchange) Name() string { return "urn:ietf:params:oauth:grant-type:token-exchange" }

// Read implements [Grant]. It looks at what is to be exchanged before it is asked
// who does: a kind of exchange that is not known here is named as such.
func (g TokenExchange) Read(form url.Values) (Attempt, error) {
	for _, name := range []string{"subject_token", "subject_token_type"} {
		if form.Get(name) == "" {
			return nil, badRequest(name + " is missing")
		}
	}
	for _, rule := range []struct{ name, want string }{
		{"subject_token_type", typeDelegationToken}, {"requested_token_type", typeAccessToken}, {"actor_token_type", typeAccessToken},
	} {
		if given := form.Get(rule.name); given != "" && given != rule.want {
			return nil, badRequest(rule.name + " must be " + rule.want)
		}
	}
	if form.Has("actor_token") != form.Has("actor_token_type") {
		return nil, badRequest("actor_token and actor_token_type go together") // RFC 8693 section 2.1
	}
	return exchange{g, form.Get("subject_token"), form.Get("actor_token"), form.Has("actor_token")}, nil
}

// exchange is what is to be exchanged, and the token of who does it, if there is
// one.
type exchange struct {
	TokenExchange
	delegation, actorToken string
	hasActor               bool
}

// Authenticate implements [Attempt]. Client authentication that is sent is
// checked in any case (RFC 6749 section 3.2.1); without an actor token it says who
// the actor is.
func (e exchange) Authenticate(c *gin.Context) (Holder, error) {
	authenticates := clientauth.Sent(c.Request)
	if !authenticates && !e.hasActor {
		return nil, errNoActor
	}
	var client actor
	if authenticates {
		var err error
		if client, err = e.byClient(c); err != nil {
			return nil, err
		}
		if !e.hasActor {
			return client, nil
		}
	}
	bearer, err := e.byToken(c.Request.Context())
	if err != nil {
		return nil, err
	}
	if authenticates && bearer.caller.AgentID != client.caller.AgentID {
		return nil, errOtherClient
	}
	return bearer, nil
}

// byClient is an actor known by its client authentication.
func (e exchange) byClient(c *gin.Context) (actor, error) {
	// What ends the credential after this point ends the token too, so this
	// comes before the credential is looked at.
	known, err := e.Revocations.Sync(c.Request.Context())
	if err != nil {
		return actor{}, err
	}
	client, err := e.Clients.Authenticate(c, e.Ledger.AuthenticateNow)
	return actor{
		exchange: e, known: known,
		caller:       domain.Caller{AgentID: client.Agent.ID, OrganizationID: client.Agent.OrganizationID, Scopes: client.Agent.Scopes},
		credentialID: client.Credential.ID, method: client.Credential.Kind,
	}, err
}

// byToken is an actor known by its access token: alive as of this call, for use
// at this server, and its agent's own. Authority that was lent cannot vouch for
// itself.
func (e exchange) byToken(ctx context.Context) (actor, error) {
	token, err := e.Tokens.Verify(ctx, e.actorToken)
	if errors.Is(err, tokens.ErrUndecided) {
		return actor{}, err
	}
	if err != nil || !e.IsOurs(token.Claims.Audience) || !token.Delegation.IsZero() {
		return actor{}, errActorToken
	}
	known, err := e.Revocations.Sync(ctx)
	if err != nil {
		return actor{}, err
	}
	if known.Check(access.RefOf(token)) != revocation.Alive {
		return actor{}, errActorToken
	}
	return actor{
		exchange: e, known: known,
		caller: token.Caller(), credentialID: token.CredentialID, method: domain.ActorToken, issuance: token.Issuance,
	}, nil
}

// actor is who exchanges a delegation, and how it has shown who it is.
type actor struct {
	exchange
	caller       domain.Caller
	credentialID domain.CredentialID
	method       domain.CredentialKind
	issuance     uuid.UUID       // of the actor token; uuid.Nil where there was none
	known        revocation.View // in which the actor is alive
}

// Agent implements [Holder].
func (a actor) Agent() domain.AgentID { return a.caller.AgentID }

// Origin implements [Holder].
func (a actor) Origin(c *gin.Context) ledger.Origin {
	origin := clientOrigin(c, a.caller.AgentID)
	origin.Causation = a.issuance
	return origin
}

// Offer implements [Holder]. The delegation must be alive in the view in which
// its actor is.
func (a actor) Offer(ctx context.Context, request Request) (Offer, error) {
	id, genuine := a.Tokens.ReadDelegation(a.delegation)
	if a.known.CheckDelegation(id, a.known.Position()) != revocation.Alive || !genuine {
		return nil, domain.RefuseExchange()
	}
	offered, err := a.Ledger.OfferExchange(ctx, a.known, id, domain.ExchangeDelegation{
		Actor: a.caller, CredentialID: a.credentialID, AuthMethod: a.method,
		TokenID: request.TokenID, Scopes: request.Scopes, Audience: request.Audience,
		Algorithm: request.Key.Algorithm(), KeyID: request.Key.ID(), At: request.At,
	})
	return delegatedToken{a.Ledger, offered, request.At.Truncate(time.Second), a.known.Position()}, err
}

// delegatedToken is a token that acts for another agent.
type delegatedToken struct {
	ledger   *ledger.Ledger
	offered  ledger.ExchangeOffer
	issuedAt time.Time
	basis    ledger.Position // up to where the actor is known to be alive
}

func (o delegatedToken) Organization() domain.OrganizationID { return o.offered.Organization }

func (o delegatedToken) Issue(ctx context.Context, origin ledger.Origin) (Issuance, error) {
	exchanged, err := o.ledger.ExchangeDelegation(ctx, origin, o.offered)
	if err != nil {
		return Issuance{}, err
	}
	token := exchanged.Issued
	return Issuance{TokenType: typeAccessToken, Claims: tokens.AccessClaims{
		Subject:        token.Subject.String(),
		Audience:       token.Audience,
		ClientID:       token.AgentID.String(),
		IssuedAt:       o.issuedAt.Unix(),
		ExpiresAt:      token.ExpiresAt.Unix(),
		ID:             token.TokenID.String(),
		Scope:          token.Scope,
		AgentID:        token.AgentID.String(),
		OrganizationID: exchanged.Organization.String(),
		CredentialID:   token.CredentialID.String(),
		Ledger:         uint64(exchanged.Position),
		Event:          exchanged.EventID.String(),
		Actor:          tokens.Actors(exchanged.Actors),
		Delegation:     token.Delegation.String(),
		Basis:          uint64(o.basis),
	}}, nil
}
