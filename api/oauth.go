package api

import (
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/sentryagent/agentidp/api/access"
	"github.com/sentryagent/agentidp/api/delegation"
	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/quota"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/tokens"
)

// Server is the token endpoint and those beside it.
type Server struct {
	issuer      string
	audience    string
	exchanges   bool // of delegations, by RFC 8693
	now         func() time.Time
	ledger      *ledger.Ledger
	assertions  *ledger.Assertions
	revocations *revocation.Index
	keys        *keyring.Keyring
	tokens      *tokens.Verifier
	tokenSigner *tokens.Signer
	limiter     *limits.Limiter
	tiers       *quota.Tiers
	rates       *quota.Rates
	guard       *access.Guard
	delegations *delegation.Counters
	metrics     *metrics
	clientKeys  *lru.Cache[string, jose.JSONWebKey] // by their JWK, see clientKey
}

const (
	authorizePath  = "/oauth2/authorize"
	introspectPath = "/oauth2/introspect"
	revokePath     = "/oauth2/revoke"
)

func (s *Server) tokenEndpoint() string { return s.audience + tokenPath }

func (s *Server) routes() []router.Route {
	return []router.Route{
		{Method: http.MethodGet, Path: authorizePath, Access: router.Open, Handler: s.authorize},
		{Method: http.MethodPost, Path: authorizePath, Access: router.Open, Handler: s.authorize},
		{Method: http.MethodPost, Path: tokenPath, Access: router.Open, Handler: s.issueToken},
		{Method: http.MethodPost, Path: "/api/v1/token", Access: router.Open, Handler: s.issueToken},
		{Method: http.MethodPost, Path: introspectPath, Access: router.Open, Handler: s.introspectToken},
		{Method: http.MethodPost, Path: "/api/v1/token/introspect", Access: router.Open, Handler: s.introspectToken},
		{Method: http.MethodPost, Path: revokePath, Access: router.Open, Handler: s.revokeToken},
		{Method: http.MethodPost, Path: "/api/v1/token/revoke", Access: router.Open, Handler: s.revokeToken},
	}
}
