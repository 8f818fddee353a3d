package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/domain"
)

// metrics are those of authentication and tokens.
type metrics struct {
	tokens       *prometheus.CounterVec
	authFailures *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "agentidp_tokens_issued_total", Help: "Access tokens issued, counted once under each of their scopes.",
		}, []string{"scope"}),
		authFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "agentidp_auth_failures_total", Help: "Failed client authentications.",
		}, []string{"reason"}),
	}
	registry.MustRegister(m.tokens, m.authFailures)
	return m
}

func (m *metrics) countToken(scope string) {
	for _, s := range domain.ParseScopes(scope) {
		m.tokens.WithLabelValues(string(s)).Inc()
	}
}
