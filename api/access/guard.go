package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/policy"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/tokens"
)

// ErrRevoked: the token was alive once.
var ErrRevoked = errors.New("token is revoked")

var (
	errNoBearer  = errors.New("no bearer token")
	errBadBearer = errors.New("bearer token is not valid")
	errForeign   = errors.New("token is for another audience")
	unauthorized = domain.Refuse(domain.CodeUnauthorized, "a valid bearer token is needed: send Authorization: Bearer <access token>")
)

// Guard lets in whoever comes with a token that opens an endpoint.
type Guard struct {
	Tokens      *tokens.Verifier
	Audience    string // the API's own address
	Revocations *revocation.Index
	Policy      *policy.Policy
	Ledger      *ledger.Ledger // what callers are is looked up there
	// Challenge is that of RFC 6750 section 3, without an error.
	Challenge string
	Rejected  prometheus.Counter // see [NewRejected]
	Logger    *slog.Logger
}

// NewRejected counts the requests that are refused for their token.
func NewRejected(registry prometheus.Registerer) prometheus.Counter {
	rejected := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "agentidp_bearer_tokens_rejected_total", Help: "Requests refused for their bearer token.",
	})
	registry.MustRegister(rejected)
	return rejected
}

// Challenge is that of RFC 6750 section 3, with where to read how to get a token (RFC
// 9728 section 5.1).
func Challenge(resourceMetadataURL string) string {
	return `Bearer realm="agentidp", resource_metadata="` + resourceMetadataURL + `"`
}

// Authenticate makes the step that lets a request pass whose bearer token is valid,
// not revoked and allowed at this endpoint. When the ledger cannot be asked about
// revocations the answer is 503, never yes. An endpoint that the policy has no rule
// for would be open to nobody, so it is an error here.
func (g *Guard) Authenticate(endpoint string) (router.Step, error) {
	if !g.Policy.Lists(endpoint) {
		return nil, fmt.Errorf("the policy has no rule for %s", endpoint)
	}
	return func(c *gin.Context) error { return g.Admit(c, endpoint) }, nil
}

// Admit is what the step of [Guard.Authenticate] does.
func (g *Guard) Admit(c *gin.Context, endpoint string) error {
	token, err := g.bearer(c)
	if err != nil {
		return g.refuseBearer(c, err)
	}
	caller := token.Caller()
	c.Set(sessionKey, &session{caller, token})
	decision, err := g.decide(c, endpoint, caller)
	if err == nil && !decision.Allow {
		err = namesOwnOrganization(c, caller)
	}
	if err != nil {
		return err
	}
	if !decision.Allow {
		return g.refuseScope(c, endpoint, caller, decision.Missing)
	}
	return nil
}

// bearer verifies the token of the Authorization header (RFC 6750 section 2.1)
// for use at this server.
func (g *Guard) bearer(c *gin.Context) (tokens.Access, error) {
	sent := ReadAuthorization(c.Request)
	if sent.Scheme != Bearer || sent.Credentials == "" {
		return tokens.Access{}, errNoBearer
	}
	token, err := g.Tokens.Verify(c.Request.Context(), sent.Credentials)
	if errors.Is(err, tokens.ErrUndecided) {
		return tokens.Access{}, err
	}
	if err != nil {
		return tokens.Access{}, fmt.Errorf("%w: %w", errBadBearer, err)
	}
	if !g.IsOurs(token.Claims.Audience) {
		return tokens.Access{}, errForeign
	}
	return token, g.MustBeAlive(c.Request.Context(), token)
}

// IsOurs: PUBLIC_URL names this server with a slash at its end and without.
func (g *Guard) IsOurs(audience string) bool {
	return strings.TrimSuffix(audience, "/") == g.Audience
}

// MustBeAlive refuses tokens that were revoked before this call, on any node.
func (g *Guard) MustBeAlive(ctx context.Context, token tokens.Access) error {
	known, err := g.Revocations.Sync(ctx)
	if err != nil {
		return err
	}
	if verdict := known.Check(RefOf(token)); verdict != revocation.Alive {
		return fmt.Errorf("%w: %s", ErrRevoked, verdict)
	}
	return nil
}

// RefOf is what the index of revocations is asked about.
func RefOf(token tokens.Access) revocation.Token {
	return revocation.Token{
		TokenID:        token.TokenID,
		AgentID:        token.AgentID,
		CredentialID:   token.CredentialID,
		OrganizationID: token.Organization,
		KeyID:          token.KeyID,
		ExpiresAt:      token.ExpiresAt,
		Position:       ledger.Position(token.Claims.Ledger),
		Basis:          ledger.Position(token.Claims.Basis),
		Delegation:     token.Delegation,
	}
}

// decide asks the policy. What the caller is to the thing that the path names is
// looked up only where its scopes do not suffice.
func (g *Guard) decide(c *gin.Context, endpoint string, caller domain.Caller) (policy.Decision, error) {
	request := policy.Request{Endpoint: endpoint, Scopes: caller.Scopes}
	decision, err := g.Policy.Decide(c.Request.Context(), request)
	if err != nil || decision.Allow {
		return decision, err
	}
	if request.Relations, err = g.relations(c, caller); err != nil || len(request.Relations) == 0 {
		return decision, err
	}
	return g.Policy.Decide(c.Request.Context(), request)
}

// relations says what the caller is to the thing that the path names: nothing
// unless its token stands for its whole agent. It opens the door; what else such
// a caller must be, the command decides.
func (g *Guard) relations(c *gin.Context, caller domain.Caller) ([]string, error) {
	might := related(c, caller)
	if len(might) == 0 {
		return nil, nil
	}
	caller, err := g.Ledger.Known(c.Request.Context(), caller)
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
