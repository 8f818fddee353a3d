package projections

import "github.com/prometheus/client_golang/prometheus"

// Collector reports where projections are as Prometheus metrics. Register it
// where the server's metrics are.
type Collector struct {
	progress *Progress
	position *prometheus.Desc
	age      *prometheus.Desc
	lag      *prometheus.Desc // where positions count events
	halted   *prometheus.Desc
	stalled  *prometheus.Desc
	rebuild  *prometheus.Desc
	behind   *prometheus.Desc // where positions count events
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector makes a collector of a Progress.
func NewCollector(progress *Progress) *Collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("agentidp_projection_"+name, help, []string{"projection"}, nil)
	}
	return &Collector{
		progress: progress,
		position: desc("position", "Ledger position up to which the projection has applied every event it wants."),
		age:      desc("lag_seconds", "Age of the oldest event that the projection wants and has not applied, as of the last look; else 0."),
		lag:      desc("lag_events", "Events between the projection and the newest one. Not there where the ledger's positions do not count events."),
		halted:   desc("halted", "1 when the projection has met an event it cannot apply, else 0."),
		stalled:  desc("stalled", "1 when the projection has applied nothing for half a minute although there is something to apply, else 0."),
		rebuild:  desc("rebuild_position", "Ledger position up to which a rebuild, on whatever node, has filled the tables that will be switched to."),
		behind:   desc("rebuild_lag_events", "Events between a rebuild and the newest one. Not there where the ledger's positions do not count events."),
	}
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.position
	descs <- c.age
	descs <- c.lag
	descs <- c.halted
	descs <- c.stalled
	descs <- c.rebuild
	descs <- c.behind
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, projection string) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, projection)
	}
	for _, s := range c.progress.Status() {
		if !s.ReadModel {
			continue
		}
		gauge(c.position, float64(s.Position), s.Projection)
		gauge(c.age, s.Behind.Seconds(), s.Projection)
		if s.Dense {
			gauge(c.lag, float64(s.Lag), s.Projection)
		}
		gauge(c.halted, flag(s.Halted), s.Projection)
		gauge(c.stalled, flag(s.Stalled), s.Projection)
		if r := s.Rebuild; r != nil {
			gauge(c.rebuild, float64(r.Position), s.Projection)
			if s.Dense {
				gauge(c.behind, float64(max(r.Head, s.Position)-r.Position), s.Projection)
			}
		}
	}
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
