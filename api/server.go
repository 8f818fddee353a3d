package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-jose/go-jose/v4"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/policy"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/replay/history"
	"github.com/sentryagent/agentidp/replay/verify"
)

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
	tokens      *accessTokens
	quota       *quotas
	policy      *policy.Policy
	redis       *redis.Client
	registry    *prometheus.Registry
	metrics     *metrics
	schema      schemaFault
	logger      *slog.Logger
	spec        *Spec
	docs        *Docs
	aliases     map[string]string                   // see metadataAliases
	clientKeys  *lru.Cache[string, jose.JSONWebKey] // by their JWK, see clientKey
	engine      *gin.Engine

	verifications *verifications
	turns         *turns // of readers of history
	trailTurns    *turns // of readers of the trail
	proxyWarning  sync.Once
	draining      atomic.Bool  // see Drain
	unguarded     atomic.Int64 // see ReportUnguarded
	interfered    atomic.Int64 // see ReportInterfered
	probes        probes
}

// Drain has /health say that this server is about to stop, and answers ask
// clients to come back by another connection. Requests are answered as before.
func (s *Server) Drain() { s.draining.Store(true) }

// New puts the API together. It fails when the OpenAPI document, the policy
// and the routes do not fit each other.
func New(parts Parts, options Options) (*Server, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	tokens, err := newAccessTokens(parts.Keys, options.SigningAlg, options.Issuer, options.Now)
	if err != nil {
		return nil, err
	}
	spec, err := LoadSpecFor(options.PublicURL)
	if err != nil {
		return nil, err
	}
	docs, err := LoadDocs()
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
		tokens:      tokens,
		policy:      parts.Policy,
		redis:       parts.Redis,
		registry:    parts.Registry,
		metrics:     newMetrics(parts.Registry),
		logger:      parts.Logger,
		spec:        spec,
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
	s.aliases = s.metadataAliases()
	const rememberedKeys = 4096
	if s.clientKeys, err = lru.New[string, jose.JSONWebKey](rememberedKeys); err != nil {
		return nil, err
	}
	return s, s.buildRoutes()
}

// ServeHTTP implements [http.Handler]. HEAD is answered as GET is, and net/http
// leaves the body out (RFC 9110 section 9.3.2).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		r = r.WithContext(r.Context()) // a copy: net/http still has to know
		r.Method = http.MethodGet
	}
	if path, isAlias := s.aliases[r.URL.Path]; isAlias {
		to := *r.URL
		to.Path, to.RawPath = path, ""
		r = r.WithContext(r.Context())
		r.URL = &to
	}
	s.engine.ServeHTTP(w, r)
}

func (s *Server) buildRoutes() error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.ContextWithFallback = true
	engine.ForwardedByClientIP = false // callerOf is the judge of addresses
	engine.Use(withRequestID, s.leaving, s.observed, s.warnOfProxy, s.withSecurityHeaders, s.cors)
	engine.NoRoute(func(c *gin.Context) {
		s.fail(c, domain.Refuse(domain.CodeNotFound, "there is nothing at this path; see /docs"))
	})
	engine.NoMethod(func(c *gin.Context) { // gin has set Allow
		s.fail(c, domain.Refuse(codeMethodNotAllowed, "this path does not know the method %s", c.Request.Method))
	})
	s.engine = engine
	return s.register()
}
