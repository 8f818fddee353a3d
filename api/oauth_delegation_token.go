package api

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/tokens"
)

// tokenTypeNone is what RFC 8693 section 2.2.1 calls a token that gives no
// access by itself.
const tokenTypeNone = "N_A"

// refuseForeignToken is RFC 7009 section 2.1: a client ends its own tokens.
func refuseForeignToken(c *gin.Context) {
	router.AnswerOAuthError(c, http.StatusBadRequest, "unauthorized_client", "the token was issued to another client")
}

// revokeDelegationToken ends a delegation by RFC 7009. Its token was issued to
// the delegator, whose client alone ends it here.
func (s *Server) revokeDelegationToken(c *gin.Context, agent domain.Agent, id domain.DelegationID) error {
	ctx := c.Request.Context()
	delegation, err := s.ledger.Delegation(ctx, id)
	switch {
	case err != nil:
		return err
	case !delegation.Exists(): // of a ledger that was restored
		answerRevoked(c)
		return nil
	case delegation.DelegatorID != agent.ID:
		refuseForeignToken(c)
		return nil
	}
	outcome, err := s.ledger.RevokeDelegation(ctx, clientOrigin(c, agent.ID), id, domain.RevokeDelegation{
		Caller: domain.Caller{AgentID: agent.ID, OrganizationID: agent.OrganizationID}, Reason: "its token was revoked by the client",
	})
	if err != nil {
		return err
	}
	if len(outcome.Events) > 0 {
		s.delegations.Revoked()
	}
	answerRevoked(c)
	return nil
}

// introspectDelegation tells what a delegation token gives if its delegatee
// exchanges it now: for whom (sub), who may exchange it (may_act) and, where
// authority was lent on, who did so (act).
func (s *Server) introspectDelegation(ctx context.Context, asker introspector, id domain.DelegationID) (introspection, error) {
	// What has ended is known as of this request: its caller had to be alive.
	known := s.revocations.Latest()
	alive := known.CheckDelegation(id, known.Position()) == revocation.Alive
	delegation, err := s.ledger.Delegation(ctx, id)
	if err != nil || !alive || !delegation.Exists() || !asker.mayKnow(delegation) {
		return introspection{}, err
	}
	subject, actors, err := s.ledger.DelegationParties(ctx, id)
	if err != nil {
		return introspection{}, err
	}
	return introspection{
		Active: true, TokenType: tokenTypeNone, Issuer: s.issuer,
		Scope:     delegation.Scopes.Within(subject.Scopes).String(),
		IssuedAt:  delegation.IssuedAt().Unix(),
		ExpiresAt: delegation.ExpiresAt.Unix(),
		Subject:   subject.ID.String(), ClientID: delegation.DelegatorID.String(),
		OrganizationID: delegation.OrganizationID.String(), Delegation: id.String(),
		MayAct: tokens.Actors(actors[:1]), Actor: tokens.Actors(actors[1:]),
	}, nil
}

// mayKnow: an agent with tokens:read knows of all of its organization, any other
// of what it gave or received itself.
func (a introspector) mayKnow(d domain.Delegation) bool {
	party := a.AgentID == d.DelegatorID || a.AgentID == d.DelegateeID
	return a.MayActIn(d.OrganizationID) == nil && (party || !a.ownOnly)
}
