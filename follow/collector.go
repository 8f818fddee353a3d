package follow

import "github.com/prometheus/client_golang/prometheus"

// Collector reports where followers are as Prometheus metrics, read models and
// all others alike. Register it where the server's metrics are.
type Collector struct {
	progress *Progress
	position *prometheus.Desc
	age      *prometheus.Desc
	lag      *prometheus.Desc // where positions count events
	halted   *prometheus.Desc
	stalled  *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector makes a collector of a Progress.
func NewCollector(progress *Progress) *Collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("agentidp_follower_"+name, help, []string{"follower"}, nil)
	}
	return &Collector{
		progress: progress,
		position: desc("position", "Ledger position up to which the follower has taken every event it wants."),
		age:      desc("lag_seconds", "Age of the oldest event that the follower wants and has not taken, as of the last look; else 0."),
		lag:      desc("lag_events", "Events between the follower and the newest one. Not there where the ledger's positions do not count events."),
		halted:   desc("halted", "1 when the follower has met an event it cannot take, else 0."),
		stalled:  desc("stalled", "1 when the follower has taken nothing for half a minute although there is something to take, else 0."),
	}
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.position
	descs <- c.age
	descs <- c.lag
	descs <- c.halted
	descs <- c.stalled
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, follower string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, follower)
	}
	for _, s := range c.progress.Status() {
		gauge(c.position, float64(s.Position), s.Projection)
		gauge(c.age, s.Behind.Seconds(), s.Projection)
		if s.Dense {
			gauge(c.lag, float64(s.Lag), s.Projection)
		}
		gauge(c.halted, flag(s.Halted), s.Projection)
		gauge(c.stalled, flag(s.Stalled), s.Projection)
	}
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
