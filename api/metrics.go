package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

// metrics are the API's own; names start with agentidp_.
type metrics struct {
	tokens         *prometheus.CounterVec
	agents         *prometheus.CounterVec
	authFailures   *prometheus.CounterVec
	rejectedTokens prometheus.Counter
	limitHits      *prometheus.CounterVec
	verification   prometheus.Histogram
	reports        prometheus.Counter
	integrity      *prometheus.GaugeVec // without labels, so that it is not there before the first verification

	delegationsCreated, delegationsVerified, delegationsRevoked prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "agentidp_tokens_issued_total", Help: "Access tokens issued, counted once under each of their scopes.",
		}, []string{"scope"}),
		agents: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "agentidp_agents_registered_total", Help: "Agents registered.",
		}, []string{"deployment_env"}),
		authFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "agentidp_auth_failures_total", Help: "Failed client authentications.",
		}, []string{"reason"}),
		rejectedTokens: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "agentidp_bearer_tokens_rejected_total", Help: "Requests refused for their bearer token.",
		}),
		limitHits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "agentidp_rate_limit_hits_total", Help: "Requests refused because a limit was reached, by what was limited.",
		}, []string{"scope"}),
		verification: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "agentidp_verification_duration_seconds", Help: "Time to verify the ledger or a part of it.",
			Buckets: []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 300},
		}),
		integrity: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "agentidp_audit_chain_integrity", Help: "1 when the last verification of the ledger found it intact, 0 when broken.",
		}, nil),
		reports: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "agentidp_compliance_reports_generated_total", Help: "Compliance reports made; those answered from the cache are not counted.",
		}),
	}
	m.delegationsCreated = delegationCounter(registry, "created", "Delegations made.")
	m.delegationsVerified = delegationCounter(registry, "verified", "Delegation tokens verified on request, whatever the answer.")
	m.delegationsRevoked = delegationCounter(registry, "revoked", "Delegations revoked.")
	for _, scope := range []string{scopeClient, scopeAddress, scopeToken, scopeAuthentication, scopeVerification, scopeControls, scopeCalls, scopeTokens} {
		m.limitHits.WithLabelValues(scope) // so that each is seen at 0
	}
	registry.MustRegister(m.limitHits, m.tokens, m.agents, m.authFailures, m.rejectedTokens, m.verification, m.integrity, m.reports)
	return m
}

func delegationCounter(registry prometheus.Registerer, what, help string) prometheus.Counter {
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "agentidp_delegations_" + what + "_total", Help: help})
	registry.MustRegister(counter)
	return counter
}

func (m *metrics) countToken(scope string) {
	for _, s := range domain.ParseScopes(scope) {
		m.tokens.WithLabelValues(string(s)).Inc()
	}
}

// verified counts a verification; a whole one also says how the ledger is.
func (m *metrics) verified(intact bool, took time.Duration, whole bool) {
	m.verification.Observe(took.Seconds())
	if whole {
		m.reportIntegrity(intact)
	}
}

func (m *metrics) reportIntegrity(intact bool) {
	value := 0.0
	if intact {
		value = 1
	}
	m.integrity.WithLabelValues().Set(value)
}

// serveMetrics lets only the configured networks read the metrics. Through a
// proxy that is not trusted everybody would have the proxy's address, which is
// loopback where it runs on the same machine.
func (s *Server) serveMetrics() router.Handler {
	metrics := MetricsHandler(s.registry)
	return func(c *gin.Context) error {
		from := router.CallerAddress(c)
		if !from.Certain {
			return domain.Refuse(domain.CodeCrossTenant,
				"metrics are not served through a proxy that is not trusted; ask the server itself, or name the proxy in TRUSTED_PROXIES")
		}
		if !router.Within(from.Addr, s.options.MetricsAllow) {
			return domain.Refuse(domain.CodeCrossTenant, "metrics are not served to this address; see METRICS_ALLOW")
		}
		metrics.ServeHTTP(c.Writer, c.Request)
		return nil
	}
}

// MetricsHandler serves a registry for Prometheus, at /metrics alone: a probe
// that is sent here by mistake must not find a server healthy.
func MetricsHandler(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	return mux
}
