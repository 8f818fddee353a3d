package router

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of HTTP.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec

	// byRoute keeps the children of a route and status, so that counting a
	// request does not have to look labels up.
	byRoute sync.Map // routeKey -> routeMetrics
}

type routeKey struct {
	method, route string
	status        int
}

type routeMetrics struct {
	requests prometheus.Counter
	duration prometheus.Observer
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "agentidp_http_requests_total", Help: "HTTP requests answered.",
		}, []string{"method", "route", "status_code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "agentidp_http_request_duration_seconds", Help: "Time to answer an HTTP request.",
			Buckets: []float64{.001, .0025, .005, .01, .02, .03, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"method", "route"}),
	}
	registry.MustRegister(m.requests, m.durations)
	return m
}

func (m *metrics) observeRequest(method, route string, status int, took time.Duration) {
	if !knownMethod(method) {
		method = "other"
	}
	key := routeKey{method, route, status}
	known, found := m.byRoute.Load(key)
	if !found {
		known, _ = m.byRoute.LoadOrStore(key, routeMetrics{
			requests: m.requests.WithLabelValues(method, route, strconv.Itoa(status)),
			duration: m.durations.WithLabelValues(method, route),
		})
	}
	child, _ := known.(routeMetrics)
	child.requests.Inc()
	child.duration.Observe(took.Seconds())
}

func knownMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return true
	}
	return false
}
