package api

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/openapi"
	"github.com/sentryagent/agentidp/api/policy"
	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/history"
	"github.com/sentryagent/agentidp/replay/verify"
	"github.com/sentryagent/agentidp/tokens"
)

//go:embed openapi.yaml
var description []byte

// Options are the API's settings.
type Options struct {
	Version        string
	PublicURL      string                      // the API's own address, and the audience of its tokens
	Issuer         string                      // of all tokens
	DID            func(domain.AgentID) string // see [DID]
	SigningAlg     string                      // RS256 or ES256
	CORSOrigins    []string
	TrustedProxies []netip.Prefix // whose X-Forwarded-For counts
	HSTS           bool
	Delegation     bool          // agents may lend each other authority
	Compliance     bool          // the report and the agent cards are served
	ReadWait       time.Duration // bound of a read's wait for the read models
	RetentionDays  int           // of the audit query; 0: as the tier says
	RateLimit      RateLimit
	// TierEnforcement: the daily limits of the tiers hold. They are counted
	// either way.
	TierEnforcement bool
	MetricsAllow    []netip.Prefix
	// MetricsElsewhere: /metrics is served on a port of its own.
	MetricsElsewhere bool
	Now              func() time.Time
}

// Parts are what the API is made of.
type Parts struct {
	Verifier    *verify.Verifier
	History     *history.History
	Controls    func(context.Context) []Control // how the compliance controls stand; never fails
	Ledger      *ledger.Ledger
	EventStore  func() EventStore // how it is reached; nil where the ledger is in the database
	Idempotency *ledger.IdempotencyKeys
	Assertions  *ledger.Assertions
	Queries     *readmodels.Queries
	Progress    *projections.Progress
	Revocations *revocation.Index
	Logs        *transparency.Logs
	Signer      *transparency.Signer
	Witnesses   *transparency.Witnesses
	Limiter     *limits.Limiter
	Keys        *keyring.Keyring
	Policy      *policy.Policy
	Redis       *redis.Client
	Registry    *prometheus.Registry
	Logger      *slog.Logger
}

// Server answers HTTP. Make one with [New]; it is an [http.Handler].
type Server struct {
	options     Options
	issuer      string
	audience    string
	now         func() time.Time
	history     *history.History
	controls    func(context.Context) []Control
	reports     *reportCache
	ledger      *ledger.Ledger
	eventStore  func() EventStore
	idempotency *ledger.IdempotencyKeys
	assertions  *ledger.Assertions
	queries     *readmodels.Queries
	progress    *projections.Progress
	revocations *revocation.Index
	logs        *transparency.Logs
	signer      *transparency.Signer
	witnesses   *transparency.Witnesses
	limiter     *limits.Limiter
	keys        *keyring.Keyring
	tokens      *tokens.Verifier
	tokenSigner *tokens.Signer
	quota       *quotas
	policy      *policy.Policy
	redis       *redis.Client
	registry    *prometheus.Registry
	metrics     *metrics
	logger      *slog.Logger
	docs        *Docs
	clientKeys  *lru.Cache[string, jose.JSONWebKey] // by their JWK, see clientKey
	router      *router.Router

	verifications *verifications
	turns         *turns       // of readers of history
	trailTurns    *turns       // of readers of the trail
	unguarded     atomic.Int64 // see ReportUnguarded
	interfered    atomic.Int64 // see ReportInterfered
	probes        probes
}

// Drain has /health say that this server is about to stop, and answers ask
// clients to come back by another connection. Requests are answered as before.
func (s *Server) Drain() { s.router.Drain() }

// New puts the API together. It fails when the OpenAPI document, the policy
// and the routes do not fit each other.
func New(parts Parts, options Options) (*Server, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	verifier, err := tokens.NewVerifier(parts.Keys, options.Issuer, options.Now)
	if err != nil {
		return nil, err
	}
	spec, err := openapi.Load(description, options.PublicURL)
	if err != nil {
		return nil, err
	}
	docs, err := LoadDocs(spec.Published())
	if err != nil {
		return nil, err
	}
	s := &Server{
		options:     options,
		issuer:      options.Issuer,
		audience:    options.PublicURL,
		now:         options.Now,
		history:     parts.History,
		controls:    parts.Controls,
		reports:     newReportCache(options.Now),
		ledger:      parts.Ledger,
		eventStore:  parts.EventStore,
		idempotency: parts.Idempotency,
		assertions:  parts.Assertions,
		queries:     parts.Queries,
		progress:    parts.Progress,
		revocations: parts.Revocations,
		logs:        parts.Logs,
		signer:      parts.Signer,
		witnesses:   parts.Witnesses,
		limiter:     parts.Limiter,
		keys:        parts.Keys,
		tokens:      verifier,
		tokenSigner: tokens.NewSigner(parts.Keys, options.SigningAlg),
		policy:      parts.Policy,
		redis:       parts.Redis,
		registry:    parts.Registry,
		metrics:     newMetrics(parts.Registry),
		logger:      parts.Logger,
		docs:        docs,

		verifications: newVerifications(parts.Verifier, options.Now),
		turns:         newTurns(historyShares, options.Now), trailTurns: newTurns(trailShares, options.Now),
	}
	s.quota = &quotas{
		limiter: parts.Limiter, tenants: parts.Revocations, queries: parts.Queries, metrics: s.metrics,
		now: options.Now, enforced: options.TierEnforcement,
	}
	parts.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "agentidp_rate_limit_local", Help: "1 while limits are counted on this node alone, because Redis is away.",
	}, func() float64 {
		if parts.Limiter.Alone() {
			return 1
		}
		return 0
	}))
	const rememberedKeys = 4096
	if s.clientKeys, err = lru.New[string, jose.JSONWebKey](rememberedKeys); err != nil {
		return nil, err
	}
	return s, s.addRoutes(spec)
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.router.ServeHTTP(w, r) }

// addRoutes says what stands behind the rows of the routes.
func (s *Server) addRoutes(spec *openapi.Spec) error {
	s.router = router.New(router.Options{
		CORSOrigins: s.options.CORSOrigins, TrustedProxies: s.options.TrustedProxies, HSTS: s.options.HSTS,
		Now: s.now, Logger: s.logger, Registry: s.registry, Refusing: s.limitUnadmitted,
	}, router.Steps{
		Authenticate: func(endpoint string) (router.Step, error) {
			if !s.policy.Lists(endpoint) { // it would be open to nobody
				return nil, fmt.Errorf("the policy has no rule for %s", endpoint)
			}
			return s.protect(endpoint), nil
		},
		Admit: s.limited, Current: s.upToDate, Validate: spec.Check,
		Limits: map[router.Limit]router.Step{
			router.Verifications: s.limitVerification, router.States: s.limitStates, router.Controls: s.limitControls, router.LogReads: s.limitFollower,
		},
		Reads:   map[router.Read][]router.Step{router.AtPosition: {s.atLeast}, router.AtHead: {s.atLeast, s.atHead}},
		Repeats: map[router.Repeat]router.Step{router.Once: s.idempotent, router.OnceSecret: s.idempotentSecret},
	})
	s.router.Alias(s.metadataAliases())
	routes, err := s.routes()
	if err != nil {
		return err
	}
	return s.router.Add(routes...)
}
