package server

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/keyring"
)

var (
	poolActive = prometheus.NewDesc("agentidp_db_pool_active_connections", "Database connections in use.", nil, nil)
	poolMax    = prometheus.NewDesc("agentidp_db_pool_max_connections", "Bound of the database connections.", nil, nil)
	headDesc   = prometheus.NewDesc("agentidp_ledger_position", "Position of the newest event.", nil, nil)
	keysDesc   = prometheus.NewDesc("agentidp_signing_keys", "Signing keys that this server serves.", []string{"alg", "state"}, nil)
	keyAgeDesc = prometheus.NewDesc("agentidp_signing_key_age_seconds", "Age of the key that signs, from its publication.", []string{"alg"}, nil)
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

// keyCollector tells of the signing keys as this server knows them.
type keyCollector struct {
	ring *keyring.Keyring
	now  func() time.Time
}

func (c keyCollector) Describe(out chan<- *prometheus.Desc) {
	out <- keysDesc
	out <- keyAgeDesc
}

func (c keyCollector) Collect(out chan<- prometheus.Metric) {
	for _, alg := range keyring.Algorithms() {
		count := map[keyring.State]float64{keyring.Published: 0, keyring.Current: 0, keyring.Retired: 0}
		for _, key := range c.ring.PublicKeys() {
			if key.Alg != alg {
				continue
			}
			count[key.State]++
			if key.State == keyring.Current {
				out <- prometheus.MustNewConstMetric(keyAgeDesc, prometheus.GaugeValue, c.now().Sub(key.CreatedAt).Seconds(), alg)
			}
		}
		for state, n := range count {
			out <- prometheus.MustNewConstMetric(keysDesc, prometheus.GaugeValue, n, alg, string(state))
		}
	}
}
