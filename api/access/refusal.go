package access

import (
	"errors"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sentryagent/agentidp/api/policy"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

// refuseBearer makes the 401 that does not say what was wrong, or says that we cannot
// tell. Why a token was refused is in the log, for whoever runs the server.
func (g *Guard) refuseBearer(c *gin.Context, err error) error {
	reason, refused := whyRefused(err)
	if !refused {
		return err
	}
	g.Rejected.Inc()
	challenge := g.Challenge
	if ReadAuthorization(c.Request).Scheme == Bearer { // RFC 6750 section 3.1: no error code for who sent no token
		challenge += `, error="invalid_token"`
		g.Logger.InfoContext(c.Request.Context(), "bearer token refused",
			"reason", reason, "requestId", router.RequestID(c), "method", c.Request.Method, "route", c.FullPath())
	}
	c.Header("WWW-Authenticate", challenge)
	return unauthorized
}

// whyRefused puts into a few words what was wrong with a bearer token; refused
// is false when it is not the token that is at fault.
func whyRefused(err error) (reason string, refused bool) {
	for _, known := range []struct {
		err    error
		reason string
	}{
		{errNoBearer, "no bearer token"},
		{errForeign, "audience: it is for another resource"},
		{jwt.ErrTokenExpired, "expired"},
		{jwt.ErrTokenInvalidIssuer, "issuer: it is another's"},
		{jwt.ErrTokenNotValidYet, "not valid yet"},
		{jwt.ErrTokenMalformed, "malformed: it is no JWT"},
		{jwt.ErrTokenUnverifiable, "not an access token signed with a key of this server"},
		{jwt.ErrTokenSignatureInvalid, "signature"},
		{errBadBearer, "claims: they are not those of an access token of this server"},
	} {
		if errors.Is(err, known.err) {
			return known.reason, true
		}
	}
	return err.Error(), errors.Is(err, ErrRevoked)
}

// refuseScope says which scopes the token lacks. Where the agent would be let in
// without them for what it is, if only its token stood for all of it, the answer
// says that: a client that knew only of the scope would ask for one that its
// agent can never have.
func (g *Guard) refuseScope(c *gin.Context, endpoint string, caller domain.Caller, missing domain.Scopes) error {
	refusal := domain.Refuse(domain.CodeInsufficientScope, "the token lacks a scope that this needs: %s", missing).
		With("required", missing).With("available", caller.Scopes)
	wanted := missing
	whole, would, err := g.wouldBeAllowed(c, endpoint, caller)
	if err != nil {
		return err
	}
	if would {
		refusal = whole.Because(refusal)
		if lacks := whole.Lacks(); len(lacks) > 0 {
			wanted = domain.NewScopes(append(lacks, caller.Scopes...)...)
		}
	}
	c.Header("WWW-Authenticate", g.Challenge+`, error="insufficient_scope", scope="`+wanted.String()+`"`)
	return refusal
}

// wouldBeAllowed reports whether a token that stands for the whole agent would
// be let in, and who the caller is as the ledger knows it.
func (g *Guard) wouldBeAllowed(c *gin.Context, endpoint string, caller domain.Caller) (domain.Caller, bool, error) {
	ctx, might := c.Request.Context(), related(c, caller)
	if slices.Contains(might, isMember) {
		organization, err := g.Ledger.Organization(ctx, caller.OrganizationID)
		if err != nil {
			return caller, false, err
		}
		if !organization.IsAdmin(caller.AgentID) {
			might = slices.DeleteFunc(might, func(relation string) bool { return relation == isMember })
		}
	}
	if len(might) == 0 {
		return caller, false, nil
	}
	decision, err := g.Policy.Decide(ctx, policy.Request{Endpoint: endpoint, Scopes: caller.Scopes, Relations: might})
	if err != nil || !decision.Allow {
		return caller, false, err
	}
	caller, err = g.Ledger.Known(ctx, caller)
	return caller, err == nil, err
}
