package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/reactors/jobs"
)

// jobMetrics tells of the jobs on every node alike, wherever they ran; only
// failures are counted where they happened.
type jobMetrics struct {
	lastRun, duration *prometheus.GaugeVec
	signed            *prometheus.GaugeVec // without labels, as expiring
	expiring          *prometheus.GaugeVec // without labels, so that it is not there before the first scan
	failures          *prometheus.CounterVec
	unguarded         *prometheus.GaugeVec // without labels, so that it is not there before the first look
	interfered        *prometheus.GaugeVec // as unguarded
	server            reported
	known             map[string]time.Time // when the runs that are shown finished; seen is never called twice at once
}

// reported is who hears what the jobs found.
type reported interface {
	ReportIntegrity(intact bool)
	ReportUnguarded(faults int64)
	ReportInterfered(streams int64)
}

// labelTask names the job in its metrics. It cannot be called job: that label
// is the scrape's own, and Prometheus renames ours.
const labelTask = "task"

func newJobMetrics(registry prometheus.Registerer, list []jobs.Job, server reported) *jobMetrics {
	m := &jobMetrics{
		lastRun: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "agentidp_job_last_run_timestamp_seconds", Help: "When the job last finished, on any node.",
		}, []string{labelTask}),
		duration: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "agentidp_job_duration_seconds", Help: "How long the job's last run took, on any node.",
		}, []string{labelTask}),
		expiring: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "agentidp_credentials_expiring_soon", Help: "Active credentials that expire within seven days.",
		}, nil),
		unguarded: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "agentidp_database_unguarded", Help: "Triggers, policies and grants of the database that are not as they should be.",
		}, nil),
		interfered: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "agentidp_ledger_interfered_streams", Help: "Deeds on the ledger's streams, by the means of the event store, that were not undone.",
		}, nil),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "agentidp_job_failures_total", Help: "Runs on this node that found something wrong or could not find out.",
		}, []string{labelTask}),
		signed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "agentidp_checkpoint_signed_timestamp_seconds", Help: "When the logs were last found or made to be signed as they are, on any node.",
		}, nil),
		server: server, known: map[string]time.Time{},
	}
	for _, job := range list {
		m.failures.WithLabelValues(job.Name) // so that each is seen at 0
	}
	registry.MustRegister(m.lastRun, m.duration, m.signed, m.expiring, m.unguarded, m.interfered, m.failures)
	return m
}

func (m *jobMetrics) ran(r jobs.Run) {
	if r.Outcome != jobs.Passed {
		m.failures.WithLabelValues(r.Job).Inc()
	}
}

func (m *jobMetrics) seen(runs []jobs.Run) {
	verified, intact := false, true // by what each of the two verifications found last
	for _, r := range runs {
		if r.Job == jobs.VerifyNewEvents || r.Job == jobs.VerifyAllEvents {
			verified = verified || r.Outcome != jobs.Error && !r.FinishedAt.Equal(m.known[r.Job])
			intact = intact && r.Outcome != jobs.Failed
		}
		if r.Outcome == jobs.NeverRan || r.FinishedAt.Equal(m.known[r.Job]) {
			continue
		}
		m.known[r.Job] = r.FinishedAt
		m.lastRun.WithLabelValues(r.Job).Set(float64(r.FinishedAt.UnixMilli()) / 1000)
		m.duration.WithLabelValues(r.Job).Set(r.Duration.Seconds())
		if r.Job == jobs.Checkpoint && r.Outcome == jobs.Passed {
			m.signed.WithLabelValues().Set(float64(r.FinishedAt.UnixMilli()) / 1000)
		}
		if r.Job == jobs.DatabaseGuards && r.Outcome != jobs.Error {
			m.unguarded.WithLabelValues().Set(float64(r.Count))
			m.server.ReportUnguarded(r.Count)
		}
		if r.Job == jobs.StoreStreams && r.Outcome != jobs.Error {
			m.interfered.WithLabelValues().Set(float64(r.Count))
			m.server.ReportInterfered(r.Count)
		}
		if r.Job == jobs.CredentialExpiry && r.Outcome == jobs.Passed {
			m.expiring.WithLabelValues().Set(float64(r.Count))
		}
	}
	if verified {
		m.server.ReportIntegrity(intact)
	}
}
