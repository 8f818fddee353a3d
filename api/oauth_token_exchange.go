package api

import (
	"context"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/tokens"
)

// The names of RFC 8693 sections 2.1 and 3, and ours for what is exchanged.
const (
	grantTokenExchange  = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken     = "urn:ietf:params:oauth:token-type:access_token"
	typeDelegationToken = "urn:sentryagent:params:oauth:token-type:delegation"
)

// RFC 8693 section 2.2.2: a subject or actor token that is not valid, for
// whatever reason, is an invalid_request.
var (
	errActorToken  = &protocolError{"invalid_request", "actor_token is not a valid access token of the delegatee's own"}
	errOtherClient = &protocolError{"invalid_request", "actor_token is another's than the client that has authenticated: both must be the delegatee"}
	errNoActor     = &protocolError{"invalid_request", "actor_token is missing: the delegatee sends an access token of its own, or authenticates as a client"}
)

// tokenExchange is RFC 8693: a delegation and an access token of the
// delegatee's own, or its client authentication, give an access token that acts
// for the delegator.
type tokenExchange struct {
	server     *Server
	delegation string // the subject token
	actorToken string
	hasActor   bool
}

// read looks at what is to be exchanged before it is asked who does: a kind of
// exchange that is not known here is named as such.
func (g *tokenExchange) read(form url.Values) error {
	for _, name := range []string{"subject_token", "subject_token_type"} {
		if form.Get(name) == "" {
			return &protocolError{"invalid_request", name + " is missing"}
		}
	}
	for _, rule := range []struct{ name, want string }{
		{"subject_token_type", typeDelegationToken}, {"requested_token_type", typeAccessToken}, {"actor_token_type", typeAccessToken},
	} {
		if given := form.Get(rule.name); given != "" && given != rule.want {
			return &protocolError{"invalid_request", rule.name + " must be " + rule.want}
		}
	}
	if form.Has("actor_token") != form.Has("actor_token_type") {
		return &protocolError{"invalid_request", "actor_token and actor_token_type go together"} // RFC 8693 section 2.1
	}
	g.delegation, g.actorToken, g.hasActor = form.Get("subject_token"), form.Get("actor_token"), form.Has("actor_token")
	return nil
}

// authenticate says who exchanges. Client authentication that is sent is
// checked in any case (RFC 6749 section 3.2.1); without an actor token it says who
// the actor is.
func (g *tokenExchange) authenticate(c *gin.Context) (holder, error) {
	authenticates := sendsClientAuthentication(c)
	if !authenticates && !g.hasActor {
		return nil, errNoActor
	}
	var client actor
	if authenticates {
		var err error
		if client, err = g.byClient(c); err != nil || !g.hasActor {
			return client, err
		}
	}
	bearer, err := g.byToken(c.Request.Context())
	if err != nil {
		return nil, err
	}
	if authenticates && bearer.caller.AgentID != client.caller.AgentID {
		return nil, errOtherClient
	}
	return bearer, nil
}

// byClient is an actor known by its client authentication.
func (g *tokenExchange) byClient(c *gin.Context) (actor, error) {
	// What ends the credential after this point ends the token too, so this
	// comes before the credential is looked at.
	known, err := g.server.revocations.Sync(c.Request.Context())
	if err != nil {
		return actor{}, err
	}
	client, err := g.server.authenticate(c, g.server.ledger.AuthenticateNow)
	return actor{
		tokenExchange: g, known: known,
		caller:       domain.Caller{AgentID: client.Agent.ID, OrganizationID: client.Agent.OrganizationID, Scopes: client.Agent.Scopes},
		credentialID: client.Credential.ID, method: client.Credential.Kind,
	}, err
}

// byToken is an actor known by its access token: alive as of this call, for use
// at this server, and its agent's own. Authority that was lent cannot vouch for
// itself.
func (g *tokenExchange) byToken(ctx context.Context) (actor, error) {
	token, err := g.server.tokens.Verify(g.actorToken)
	if err != nil || !g.server.guard.IsOurs(token.Claims.Audience) || !token.Delegation.IsZero() {
		return actor{}, errActorToken
	}
	known, err := g.server.revocations.Sync(ctx)
	if err != nil {
		return actor{}, err
	}
	if known.Check(access.RefOf(token)) != revocation.Alive {
		return actor{}, errActorToken
	}
	return actor{
		tokenExchange: g, known: known,
		caller: token.Caller(), credentialID: token.CredentialID, method: domain.ActorToken, issuance: token.Issuance,
	}, nil
}

// actor is who exchanges a delegation, and how it has shown who it is.
type actor struct {
	*tokenExchange
	caller       domain.Caller
	credentialID domain.CredentialID
	method       domain.CredentialKind
	issuance     uuid.UUID       // of the actor token; uuid.Nil where there was none
	known        revocation.View // in which the actor is alive
}

func (a actor) agent() domain.AgentID { return a.caller.AgentID }

func (a actor) origin(c *gin.Context) ledger.Origin {
	origin := clientOrigin(c, a.caller.AgentID)
	origin.Causation = a.issuance
	return origin
}

// offer exchanges a delegation that is alive in the view in which its actor is.
func (a actor) offer(ctx context.Context, request tokenRequest) (offer, error) {
	id, genuine := tokens.ReadDelegation(a.server.keys, a.delegation)
	if a.known.CheckDelegation(id, a.known.Position()) != revocation.Alive || !genuine {
		return nil, domain.RefuseExchange()
	}
	made, err := a.server.ledger.OfferExchange(ctx, id, domain.ExchangeDelegation{
		Actor: a.caller, CredentialID: a.credentialID, AuthMethod: a.method,
		TokenID: request.tokenID, Scopes: request.scopes, Audience: request.audience,
		Algorithm: request.key.Algorithm(), KeyID: request.key.ID(), At: request.at,
	})
	return delegatedToken{a.server.ledger, made, request.at.Truncate(time.Second), a.known.Position()}, err
}

// delegatedToken is a token that acts for another agent.
type delegatedToken struct {
	ledger   *ledger.Ledger
	offered  ledger.ExchangeOffer
	issuedAt time.Time
	basis    ledger.Position // up to where the actor is known to be alive
}

func (o delegatedToken) organization() domain.OrganizationID { return o.offered.Organization }

func (o delegatedToken) issue(ctx context.Context, origin ledger.Origin) (issuance, error) {
	exchanged, err := o.ledger.ExchangeDelegation(ctx, origin, o.offered)
	if err != nil {
		return issuance{}, err
	}
	token := exchanged.Issued
	return issuance{tokenType: typeAccessToken, claims: tokens.AccessClaims{
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
