package health

import (
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
)

// Metrics are served on the port of the API.
type Metrics struct {
	allowed  []netip.Prefix
	answered http.Handler
}

// NewMetrics serves a registry to some networks.
func NewMetrics(registry *prometheus.Registry, allowed []netip.Prefix) *Metrics {
	return &Metrics{allowed, MetricsHandler(registry)}
}

// serve lets only the configured networks read the metrics. Through a
// proxy that is not trusted everybody would have the proxy's address, which is
// loopback where it runs on the same machine.
func (m *Metrics) serve(c *gin.Context) error {
	from := router.CallerAddress(c)
	if !from.Certain {
		return domain.Refuse(domain.CodeCrossTenant,
			"metrics are not served through a proxy that is not trusted; ask the server itself, or name the proxy in TRUSTED_PROXIES")
	}
	if !router.Within(from.Addr, m.allowed) {
		return domain.Refuse(domain.CodeCrossTenant, "metrics are not served to this address; see METRICS_ALLOW")
	}
	m.answered.ServeHTTP(c.Writer, c.Request)
	return nil
}

// MetricsHandler serves a registry for Prometheus, at /metrics alone: a probe
// that is sent here by mistake must not find a server healthy.
func MetricsHandler(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	return mux
}
