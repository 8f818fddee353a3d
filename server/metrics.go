package server

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
)

// observeAppends measures the group commit.
func observeAppends(registry prometheus.Registerer) func(eventstore.AppendObservation) {
	duration := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "agentidp_ledger_append_duration_seconds", Help: "Time to make a batch of events durable.",
		Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 5},
	})
	size := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "agentidp_ledger_append_batch_size", Help: "Events that shared a commit.",
		Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
	})
	registry.MustRegister(duration, size)
	return func(o eventstore.AppendObservation) {
		duration.Observe(o.Duration.Seconds())
		size.Observe(float64(o.Events))
	}
}

// observeEventStore tells how the ledger's server is reached.
func observeEventStore(registry prometheus.Registerer) func(esdb.State) {
	connected := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "agentidp_eventstore_connected", Help: "Whether the ledger's server is connected: 1 or 0.",
	})
	connections := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "agentidp_eventstore_connections_made", Help: "Connections made to the ledger's server; all but the first replaced one that broke.",
	})
	failures := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "agentidp_eventstore_connect_failures", Help: "Attempts to connect that failed since there was a connection last.",
	})
	registry.MustRegister(connected, connections, failures)
	return func(s esdb.State) {
		connected.Set(0)
		if s.Phase == esdb.Connected {
			connected.Set(1)
		}
		connections.Set(float64(s.Connections))
		failures.Set(float64(s.Failures))
	}
}

var (
	poolActive = prometheus.NewDesc("agentidp_db_pool_active_connections", "Database connections in use.", nil, nil)
	poolMax    = prometheus.NewDesc("agentidp_db_pool_max_connections", "Bound of the database connections.", nil, nil)
	headDesc   = prometheus.NewDesc("agentidp_ledger_position", "Position of the newest event.", nil, nil)
	lostDesc   = prometheus.NewDesc("agentidp_ledger_lost_events", "Whether the ledger lacks events that it had: 1 or 0.", nil, nil)
)

type poolCollector struct{ pool *pgxpool.Pool }

func (c poolCollector) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, out) }

func (c poolCollector) Collect(out chan<- prometheus.Metric) {
	stat := c.pool.Stat()
	out <- prometheus.MustNewConstMetric(poolActive, prometheus.GaugeValue, float64(stat.AcquiredConns()))
	out <- prometheus.MustNewConstMetric(poolMax, prometheus.GaugeValue, float64(stat.MaxConns()))
}

type positionCollector struct {
	store eventstore.Store
	lost  *atomic.Bool
}

func (c positionCollector) Describe(out chan<- *prometheus.Desc) {
	out <- headDesc
	out <- lostDesc
}

func (c positionCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if head, err := eventstore.Reached(ctx, c.store); err == nil {
		out <- prometheus.MustNewConstMetric(headDesc, prometheus.GaugeValue, float64(head))
	}
	lost := 0.0
	if c.lost.Load() {
		lost = 1
	}
	out <- prometheus.MustNewConstMetric(lostDesc, prometheus.GaugeValue, lost)
}
