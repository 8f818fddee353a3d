package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/projections"
)

// The names of RFC 8693 sections 2.1 and 3, and ours for what is exchanged.
const (
	grantTokenExchange  = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken     = "urn:ietf:params:oauth:token-type:access_token"
	typeDelegationToken = "urn:sentryagent:params:oauth:token-type:delegation"
)

// RFC 8693 section 2.2.2: a subject or actor token that is not valid, for
// whatever reason, is an invalid_request.
var errActorToken = &protocolError{"invalid_request", "actor_token is not a valid access token of the delegatee's own"}

// exchangeToken is the token endpoint for RFC 8693: a delegation and an access
// token of the delegatee's own give an access token that acts for the
// delegator. The actor token is the authentication.
func (s *Server) exchangeToken(c *gin.Context) {
	form := c.Request.PostForm
	if err := checkExchange(form); err != nil {
		s.failClient(c, err)
		return
	}
	command, err := s.tokenRequest(form)
	if err != nil {
		s.failClient(c, err)
		return
	}
	actor, err := s.actor(c.Request.Context(), form.Get("actor_token"))
	if err != nil {
		s.failClient(c, err)
		return
	}
	admission := s.admission(c, actor.agentID)
	id, basis, err := s.usableDelegation(form.Get("subject_token"))
	if err != nil {
		s.fail(c, admission.close(c, err))
		return
	}
	exchanged, err := s.ledger.ExchangeDelegation(c.Request.Context(), s.clientOrigin(c, actor.agentID), id,
		domain.ExchangeDelegation{
			Actor: actor.caller(), CredentialID: actor.credentialID,
			TokenID: command.TokenID, Scopes: command.Scopes, Audience: command.Audience,
			Algorithm: command.Algorithm, KeyID: command.KeyID, At: command.At,
		}, admission.take)
	if err = admission.close(c, err); err != nil {
		s.fail(c, err)
		return
	}
	response, err := s.signExchanged(exchanged, command.At, basis)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.metrics.countToken(response.Scope)
	c.JSON(http.StatusOK, response)
}

func checkExchange(form url.Values) error {
	for _, name := range []string{"subject_token", "subject_token_type", "actor_token", "actor_token_type"} {
		if form.Get(name) == "" {
			return &protocolError{"invalid_request", name + " is missing"}
		}
	}
	for name, want := range map[string]string{"subject_token_type": typeDelegationToken, "actor_token_type": typeAccessToken} {
		if form.Get(name) != want {
			return &protocolError{"invalid_request", name + " must be " + want}
		}
	}
	if requested := form.Get("requested_token_type"); requested != "" && requested != typeAccessToken {
		return &protocolError{"invalid_request", "requested_token_type must be " + typeAccessToken}
	}
	return nil
}

// actor verifies the actor token: alive as of this call, for use at this
// server, and its agent's own; authority that was lent cannot vouch for itself.
// The index of revocations is in step with the ledger when it returns.
func (s *Server) actor(ctx context.Context, text string) (accessToken, error) {
	token, err := s.tokens.verify(text)
	if err != nil || token.claims.Audience != s.audience || !token.delegation.IsZero() {
		return token, errActorToken
	}
	if err := s.mustBeAlive(ctx, token); errors.Is(err, errRevoked) {
		return token, errActorToken
	} else if err != nil {
		return token, err
	}
	return token, nil
}

// usableDelegation reads a delegation token and says up to where in the ledger
// its delegation is known to be alive. Call it after the index was synced and
// before anything else that the exchange rests on is read.
func (s *Server) usableDelegation(text string) (id domain.DelegationID, basis ledger.Position, err error) {
	basis = s.revocations.Position()
	id, genuine := readDelegationToken(s.keys, text)
	if s.revocations.CheckDelegation(id, basis) != projections.Alive || !genuine {
		return id, basis, domain.RefuseExchange()
	}
	return id, basis, nil
}

func (s *Server) signExchanged(exchanged ledger.Exchanged, at time.Time, basis ledger.Position) (tokenResponse, error) {
	issued := exchanged.Issued
	access, err := s.tokens.sign(accessClaims{
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
		Ledger:         exchanged.Position,
		Actor:          nested(exchanged.Actors),
		Delegation:     issued.Delegation.String(),
		Basis:          basis,
	})
	return tokenResponse{
		AccessToken:     access,
		IssuedTokenType: typeAccessToken,
		TokenType:       "Bearer",
		ExpiresIn:       int(issued.ExpiresAt.Sub(at) / time.Second),
		Scope:           issued.Scope,
	}, err
}

// nested puts who acts outermost, and inside whom each had it from.
func nested(actors []domain.AgentID) *actorClaim {
	if len(actors) == 0 {
		return nil
	}
	return &actorClaim{Subject: actors[0].String(), Actor: nested(actors[1:])}
}
