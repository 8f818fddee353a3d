package server

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/eventstore"
)

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
