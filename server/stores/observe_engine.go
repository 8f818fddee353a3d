package stores

import (
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
		Name: "agentidp_ledger_append_batch_size", Help: "Events that Shared a commit.",
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
