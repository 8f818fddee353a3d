package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/api"
	"github.com/sentryagent/agentidp/api/compliance"
	"github.com/sentryagent/agentidp/api/health"
	"github.com/sentryagent/agentidp/api/limits"
	"github.com/sentryagent/agentidp/api/policy"
	"github.com/sentryagent/agentidp/api/quota"
	"github.com/sentryagent/agentidp/eventstore/esdb"
	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/internal/outbound"
	"github.com/sentryagent/agentidp/server/stores"
)

// front is what answers HTTP.
type front struct {
	limiter *limits.Limiter
	api     *api.API
	server  *http.Server

	listener net.Listener
	metrics  *http.Server // nil: /metrics is on the API's port
	gauges   net.Listener // of metrics
}

func newFront(f frame, s *storage, read *readSide, write *writeSide, keys *keyring.Keyring, rules *policy.Policy) (*front, error) {
	limiter := limits.New(s.redis, f.now, f.logger)
	server, err := api.New(api.WriteSide{
		Ledger: write.ledger, Revocations: write.revocations, Idempotency: write.idempotency, Assertions: write.assertions,
	}, api.ReadSide{
		Queries: read.queries, Progress: read.progress, History: read.history, Verifier: read.verifier,
		Logs: read.logs, Signer: read.signer, Witnesses: read.witnesses,
	}, api.Surroundings{
		Keys: keys, Policy: rules, Limiter: limiter, Redis: s.redis, Instance: write.instance, EventStore: reached(s.store, f.config),
		Controls: func(ctx context.Context) []compliance.Control { return s.controls(ctx, f) },
		Fetch:    outbound.New(outbound.Options{Allow: f.config.OutboundAllow}).Get,
		Registry: f.registry, Logger: f.logger,
	}, apiOptions(f))
	if err != nil {
		return nil, err
	}
	h := &front{limiter: limiter, api: server, server: httpServer(server, f.config.IdleTimeout, f.logger)}
	if f.config.MetricsPort != 0 {
		h.metrics = httpServer(health.MetricsHandler(f.registry), f.config.IdleTimeout, f.logger)
	}
	return h, nil
}

func apiOptions(f frame) api.Options {
	c := f.config
	return api.Options{
		Version: f.version, PublicURL: c.PublicURL, Issuer: c.OIDCIssuer,
		DID: api.DID(c.DIDWebDomain), DIDMaxAge: c.DIDDocumentCacheTTL, SigningAlg: c.JWTSigningAlg, JWKSLifetime: c.JWKSCacheTTL,
		CORSOrigins: c.CORSOrigins, TrustedProxies: c.TrustedProxies, HSTS: strings.HasPrefix(c.PublicURL, "https://"),
		ReadWait: c.ReadWaitTimeout, RetentionDays: c.AuditRetentionDays,
		PartnerKeysTTL: c.FederationJWKSCacheTTL,
		Delegation:     c.A2AEnabled, Compliance: c.ComplianceEnabled,
		RateLimit: quota.Limit{Max: c.RateLimitMaxRequests, Window: c.RateLimitWindow}, TierEnforcement: c.TierEnforcement,
		Now:          f.now,
		MetricsAllow: c.MetricsAllow, MetricsElsewhere: c.MetricsPort != 0,
	}
}

// httpServer has a bound for everything that a client could draw out.
func httpServer(handler http.Handler, idle time.Duration, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      5 * time.Minute, // verifying a large ledger takes its time
		IdleTimeout:       idle,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// serve answers until the server is stopped, at once where there is none.
func serve(server *http.Server, listener net.Listener) error {
	if server == nil {
		return nil
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// stop lets requests in flight finish, within the bound of the configuration.
func (h *front) stop(ctx context.Context, c config.Config) error {
	err := h.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were cut off after %s: %w", c.ShutdownTimeout, err), h.server.Close())
	}
	if h.metrics != nil {
		err = errors.Join(err, h.metrics.Close())
	}
	return err
}

func (h *front) close() {
	for _, listener := range []net.Listener{h.listener, h.gauges} {
		if listener != nil {
			_ = listener.Close()
		}
	}
}

// reached tells how the ledger's own server is reached; nil where it has none.
func reached(store stores.Engine, c config.Config) func() health.EventStore {
	server, own := store.(*esdb.Store)
	if !own {
		return nil
	}
	transport := string(config.TransportOf(c.ESDBURL))
	return func() health.EventStore {
		state := server.State()
		return health.EventStore{Connection: string(state.Phase), Since: state.Since, Failures: state.Failures, Transport: transport}
	}
}
