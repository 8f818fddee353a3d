package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sentryagent/agentidp/api/policy"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/tokens"
)

var (
	errNoBearer  = errors.New("no bearer token")
	errBadBearer = errors.New("bearer token is not valid")
	errRevoked   = errors.New("token is revoked")
	errForeign   = errors.New("token is for another audience")
	unauthorized = domain.Refuse(domain.CodeUnauthorized, "a valid bearer token is needed: send Authorization: Bearer <access token>")
)

// protect lets a request pass whose bearer token is valid, not revoked and
// allowed at this endpoint. When the ledger cannot be asked about revocations
// the answer is 503, never yes.
func (s *Server) protect(endpoint string) router.Step {
	return func(c *gin.Context) error {
		token, err := s.bearer(c)
		if err != nil {
			return s.refuseBearer(c, err)
		}
		caller := token.Caller()
		c.Set(principalKey, caller)
		c.Set(bearerKey, &token)
		decision, err := s.decide(c, endpoint, caller)
		if err == nil && !decision.Allow {
			err = namesOwnOrganization(c, caller)
		}
		if err != nil {
			return err
		}
		if !decision.Allow {
			return s.refuseScope(c, endpoint, caller, decision.Missing)
		}
		return nil
	}
}

// refuseScope says which scopes the token lacks. Where the agent would be let in
// without them for what it is, if only its token stood for all of it, the answer
// says that: a client that knew only of the scope would ask for one that its
// agent can never have.
func (s *Server) refuseScope(c *gin.Context, endpoint string, caller domain.Caller, missing domain.Scopes) error {
	refusal := domain.Refuse(domain.CodeInsufficientScope, "the token lacks a scope that this needs: %s", missing).
		With("required", missing).With("available", caller.Scopes)
	wanted := missing
	whole, would, err := s.wouldBeAllowed(c, endpoint, caller)
	if err != nil {
		return err
	}
	if would {
		refusal = whole.Because(refusal)
		if lacks := whole.Lacks(); len(lacks) > 0 {
			wanted = domain.NewScopes(append(lacks, caller.Scopes...)...)
		}
	}
	c.Header("WWW-Authenticate", s.challenge()+`, error="insufficient_scope", scope="`+wanted.String()+`"`)
	return refusal
}

// wouldBeAllowed reports whether a token that stands for the whole agent would
// be let in, and who the caller is as the ledger knows it.
func (s *Server) wouldBeAllowed(c *gin.Context, endpoint string, caller domain.Caller) (domain.Caller, bool, error) {
	ctx, might := c.Request.Context(), related(c, caller)
	if slices.Contains(might, isMember) {
		organization, err := s.ledger.Organization(ctx, caller.OrganizationID)
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
	decision, err := s.policy.Decide(ctx, policy.Request{Endpoint: endpoint, Scopes: caller.Scopes, Relations: might})
	if err != nil || !decision.Allow {
		return caller, false, err
	}
	caller, err = s.ledger.Known(ctx, caller)
	return caller, err == nil, err
}

// bearer verifies the token of the Authorization header (RFC 6750 section 2.1)
// for use at this server.
func (s *Server) bearer(c *gin.Context) (tokens.Access, error) {
	sent := readAuthorization(c.Request)
	if sent.scheme != schemeBearer || sent.credentials == "" {
		return tokens.Access{}, errNoBearer
	}
	token, err := s.tokens.Verify(sent.credentials)
	if err != nil {
		return tokens.Access{}, fmt.Errorf("%w: %w", errBadBearer, err)
	}
	if !s.isOurs(token.Claims.Audience) {
		return tokens.Access{}, errForeign
	}
	return token, s.mustBeAlive(c.Request.Context(), token)
}

// isOurs: PUBLIC_URL names this server with a slash at its end and without.
func (s *Server) isOurs(audience string) bool {
	return strings.TrimSuffix(audience, "/") == s.audience
}

// mustBeAlive refuses tokens that were revoked before this call, on any node.
func (s *Server) mustBeAlive(ctx context.Context, token tokens.Access) error {
	known, err := s.revocations.Sync(ctx)
	if err != nil {
		return err
	}
	if verdict := known.Check(refOf(token)); verdict != revocation.Alive {
		return fmt.Errorf("%w: %s", errRevoked, verdict)
	}
	return nil
}

// refOf is what the index of revocations is asked about.
func refOf(token tokens.Access) revocation.Token {
	return revocation.Token{
		TokenID:        token.TokenID,
		AgentID:        token.AgentID,
		CredentialID:   token.CredentialID,
		OrganizationID: token.Organization,
		ExpiresAt:      token.ExpiresAt,
		Position:       ledger.Position(token.Claims.Ledger),
		Basis:          ledger.Position(token.Claims.Basis),
		Delegation:     token.Delegation,
	}
}

// refuseBearer makes the 401 that does not say what was wrong, or says that we cannot
// tell. Why a token was refused is in the log, for whoever runs the server.
func (s *Server) refuseBearer(c *gin.Context, err error) error {
	reason, refused := whyRefused(err)
	if !refused {
		return err
	}
	s.metrics.rejectedTokens.Inc()
	challenge := s.challenge()
	if readAuthorization(c.Request).scheme == schemeBearer { // RFC 6750 section 3.1: no error code for who sent no token
		challenge += `, error="invalid_token"`
		s.logger.InfoContext(c.Request.Context(), "bearer token refused",
			"reason", reason, "requestId", router.RequestID(c), "method", c.Request.Method, "route", c.FullPath())
	}
	c.Header("WWW-Authenticate", challenge)
	return unauthorized
}

// challenge is that of RFC 6750 section 3, with where to read how to get a
// token (RFC 9728 section 5.1).
func (s *Server) challenge() string {
	return `Bearer realm="agentidp", resource_metadata="` + s.resourceMetadataURL() + `"`
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
	return err.Error(), errors.Is(err, errRevoked)
}

// decide asks the policy. What the caller is to the thing that the path names is
// looked up only where its scopes do not suffice.
func (s *Server) decide(c *gin.Context, endpoint string, caller domain.Caller) (policy.Decision, error) {
	request := policy.Request{Endpoint: endpoint, Scopes: caller.Scopes}
	decision, err := s.policy.Decide(c.Request.Context(), request)
	if err != nil || decision.Allow {
		return decision, err
	}
	if request.Relations, err = s.relations(c, caller); err != nil || len(request.Relations) == 0 {
		return decision, err
	}
	return s.policy.Decide(c.Request.Context(), request)
}

// relations says what the caller is to the thing that the path names: nothing
// unless its token stands for its whole agent. It opens the door; what else such
// a caller must be, the command decides.
func (s *Server) relations(c *gin.Context, caller domain.Caller) ([]string, error) {
	might := related(c, caller)
	if len(might) == 0 {
		return nil, nil
	}
	caller, err := s.ledger.Known(c.Request.Context(), caller)
	if err != nil || !caller.IsWhole() {
		return nil, err
	}
	return might, nil
}

// What a caller may be to the thing that a path names; see authz.rego.
const (
	isSelf   = "self"
	isMember = "member"
)

// related says what the caller's agent is to the thing that the path names.
func related(c *gin.Context, caller domain.Caller) (is []string) {
	agent, _ := domain.ParseAgentID(c.Param("agentId"))
	organization, _ := domain.ParseOrganizationID(c.Param("orgId"))
	if agent == caller.AgentID {
		is = append(is, isSelf)
	}
	if organization == caller.OrganizationID {
		is = append(is, isMember)
	}
	return is
}

// namesOwnOrganization refuses a path with an organization that the caller has
// no part in, whether or not it exists, before its scopes are spoken of.
func namesOwnOrganization(c *gin.Context, caller domain.Caller) error {
	named := c.Param("orgId")
	if named == "" {
		return nil
	}
	id, _ := domain.ParseOrganizationID(named)
	return caller.MayActIn(id)
}
