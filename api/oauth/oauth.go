// Package oauth is the room of the OAuth endpoints: tokens, introspection (RFC 7662), revocation (RFC 7009). Start with
// [Handler.Routes]; the way to a token is token.go from top to bottom, and each grant is a file in grants.
package oauth

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/oauth/clientauth"
	"github.com/sentryagent/agentidp/api/oauth/grants"
	"github.com/sentryagent/agentidp/api/quota"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/tokens"
)

// The paths of the endpoints.
const (
	AuthorizePath  = "/oauth2/authorize"
	TokenPath      = "/oauth2/token"
	IntrospectPath = "/oauth2/introspect"
	RevokePath     = "/oauth2/revoke"
)

// Handler answers at these paths.
type Handler struct {
	Issuer      string // of all tokens
	Audience    string // of tokens that ask for no other: this server
	Clients     *clientauth.Clients
	Grants      []grants.Grant
	Ledger      *ledger.Ledger
	Revocations *revocation.Index
	Tokens      *tokens.Verifier
	Signer      *tokens.Signer
	Guard       *access.Guard // of callers that come with a token
	Rates       *quota.Rates
	Tiers       *quota.Tiers
	Counters    Counters
	Now         func() time.Time
}

// Counters count what is issued and what is ended.
type Counters struct {
	Issued            *prometheus.CounterVec // tokens, by scope; see [NewIssued]
	DelegationRevoked func()                 // counts one
}

// NewIssued counts the tokens that are issued.
func NewIssued(registry prometheus.Registerer) *prometheus.CounterVec {
	issued := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "agentidp_tokens_issued_total", Help: "Access tokens issued, counted once under each of their scopes.",
	}, []string{"scope"})
	registry.MustRegister(issued)
	return issued
}

func (c Counters) token(scope string) {
	for _, s := range domain.ParseScopes(scope) {
		c.Issued.WithLabelValues(string(s)).Inc()
	}
}

// Routes are those of the OAuth endpoints.
func (h *Handler) Routes() []router.Route {
	return []router.Route{
		{Method: http.MethodGet, Path: AuthorizePath, Access: router.Open, Handler: h.authorize},
		{Method: http.MethodPost, Path: AuthorizePath, Access: router.Open, Handler: h.authorize},
		{Method: http.MethodPost, Path: TokenPath, Access: router.Open, Handler: h.issueToken},
		{Method: http.MethodPost, Path: "/api/v1/token", Access: router.Open, Handler: h.issueToken},
		{Method: http.MethodPost, Path: IntrospectPath, Access: router.Open, Handler: h.introspectToken},
		{Method: http.MethodPost, Path: "/api/v1/token/introspect", Access: router.Open, Handler: h.introspectToken},
		{Method: http.MethodPost, Path: RevokePath, Access: router.Open, Handler: h.revokeToken},
		{Method: http.MethodPost, Path: "/api/v1/token/revoke", Access: router.Open, Handler: h.revokeToken},
	}
}

// GrantTypes are the values of grant_type that are taken.
func (h *Handler) GrantTypes() []string {
	names := make([]string, len(h.Grants))
	for i, grant := range h.Grants {
		names[i] = grant.Name()
	}
	return names
}

func oauthError(name, description string) error {
	return &router.OAuthError{Status: http.StatusBadRequest, Name: name, Description: description}
}
