package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
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

// actor is who exchanges a delegation, and how it has shown who it is.
type actor struct {
	caller       domain.Caller
	credentialID domain.CredentialID
	method       domain.CredentialKind
	issuance     uuid.UUID // of the actor token; uuid.Nil where there was none
	// basis is up to where in the ledger the actor is known to be alive.
	basis ledger.Position
}

// exchangeToken is the token endpoint for RFC 8693: a delegation and an access
// token of the delegatee's own, or its client authentication, give an access
// token that acts for the delegator.
func (s *Server) exchangeToken(c *gin.Context) error {
	form := c.Request.PostForm
	if err := checkExchange(form); err != nil {
		return s.refuseClient(c, err)
	}
	command, key, err := s.tokenRequest(form)
	if err != nil {
		return s.refuseClient(c, err)
	}
	actor, err := s.actor(c)
	if err != nil {
		return s.refuseClient(c, err)
	}
	admission := s.admission(c, actor.caller.AgentID)
	id, err := s.usableDelegation(form.Get("subject_token"), actor.basis)
	if err != nil {
		return admission.close(c, err)
	}
	origin := s.clientOrigin(c, actor.caller.AgentID)
	origin.Causation = actor.issuance
	exchanged, err := s.ledger.ExchangeDelegation(c.Request.Context(), origin, id,
		domain.ExchangeDelegation{
			Actor: actor.caller, CredentialID: actor.credentialID, AuthMethod: actor.method,
			TokenID: command.TokenID, Scopes: command.Scopes, Audience: command.Audience,
			Algorithm: command.Algorithm, KeyID: command.KeyID, At: command.At,
		}, admission.take)
	if err = admission.close(c, err); err != nil {
		return err
	}
	response, err := s.signExchanged(key, exchanged, command.At.Truncate(time.Second), actor.basis)
	if err != nil {
		return err
	}
	s.metrics.countToken(response.Scope)
	c.JSON(http.StatusOK, response)
	return nil
}

// checkExchange looks at what is to be exchanged before it looks at who does: a
// kind of exchange that is not known here is named as such.
func checkExchange(form url.Values) error {
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
	return nil
}

// actor says who exchanges. Client authentication that is sent is checked in
// any case (RFC 6749 section 3.2.1); without an actor token it says who the
// actor is.
func (s *Server) actor(c *gin.Context) (actor, error) {
	form, ctx := c.Request.PostForm, c.Request.Context()
	authenticates := sendsClientAuthentication(c)
	if !authenticates && !form.Has("actor_token") {
		return actor{}, errNoActor
	}
	var found actor
	if authenticates {
		// What ends the credential after this point ends the token too, so this
		// comes before the credential is looked at.
		known, err := s.revocations.Sync(ctx)
		if err != nil {
			return found, err
		}
		agent, credential, err := s.provenClient(c)
		if err != nil {
			return found, err
		}
		found = actor{
			caller:       domain.Caller{AgentID: agent.ID, OrganizationID: agent.OrganizationID, Scopes: agent.Scopes},
			credentialID: credential.ID, method: credential.Kind, basis: known.Position(),
		}
	}
	if !form.Has("actor_token") {
		return found, nil
	}
	token, err := s.actorToken(ctx, form.Get("actor_token"))
	if err != nil {
		return found, err
	}
	if authenticates && token.AgentID != found.caller.AgentID {
		return found, errOtherClient
	}
	return actor{
		caller: token.Caller(), credentialID: token.CredentialID, method: domain.ActorToken, issuance: token.Issuance,
		basis: s.revocations.Latest().Position(),
	}, nil
}

// actorToken verifies the actor token: alive as of this call, for use at this
// server, and its agent's own; authority that was lent cannot vouch for itself.
// The index of revocations is in step with the ledger when it returns.
func (s *Server) actorToken(ctx context.Context, text string) (tokens.Access, error) {
	token, err := s.tokens.Verify(text)
	if err != nil || !s.isOurs(token.Claims.Audience) || !token.Delegation.IsZero() {
		return token, errActorToken
	}
	if err := s.mustBeAlive(ctx, token); errors.Is(err, errRevoked) {
		return token, errActorToken
	} else if err != nil {
		return token, err
	}
	return token, nil
}

// usableDelegation reads a delegation token whose delegation is alive as of the
// basis.
func (s *Server) usableDelegation(text string, basis ledger.Position) (id domain.DelegationID, err error) {
	id, genuine := tokens.ReadDelegation(s.keys, text)
	if s.revocations.Latest().CheckDelegation(id, basis) != revocation.Alive || !genuine {
		return id, domain.RefuseExchange()
	}
	return id, nil
}

func (s *Server) signExchanged(key *keyring.SigningKey, exchanged ledger.Exchanged, at time.Time, basis ledger.Position) (tokenResponse, error) {
	issued := exchanged.Issued
	access, err := tokens.SignAccess(key, tokens.AccessClaims{
		Issuer:         s.issuer,
		Subject:        issued.Subject.String(),
		Audience:       issued.Audience,
		ClientID:       issued.AgentID.String(),
		IssuedAt:       at.Unix(),
		ExpiresAt:      issued.ExpiresAt.Unix(),
		ID:             issued.TokenID.String(),
		Scope:          issued.Scope,
		AgentID:        issued.AgentID.String(),
		OrganizationID: exchanged.Organization.String(),
		CredentialID:   issued.CredentialID.String(),
		Ledger:         uint64(exchanged.Position),
		Event:          exchanged.EventID.String(),
		Actor:          tokens.Actors(exchanged.Actors),
		Delegation:     issued.Delegation.String(),
		Basis:          uint64(basis),
	})
	return tokenResponse{
		AccessToken:     access,
		IssuedTokenType: typeAccessToken,
		TokenType:       "Bearer",
		ExpiresIn:       int(issued.ExpiresAt.Sub(at) / time.Second),
		Scope:           issued.Scope,
	}, err
}
