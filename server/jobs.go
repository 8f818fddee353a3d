package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/internal/keyring"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/projections/readmodels"
	"github.com/sentryagent/agentidp/projections/transparency"
	"github.com/sentryagent/agentidp/reactors/jobs"
	"github.com/sentryagent/agentidp/replay/verify"
)

// scheduler is what the server does by itself, once over all nodes.
func (a *App) scheduler(queries *readmodels.Queries, verifier *verify.Verifier, signer *transparency.Signer, keys *keyring.Keyring,
	server *api.Server,
) *jobs.Scheduler {
	c := a.config
	list := []jobs.Job{
		jobs.VerifyNew(c.VerifyNewInterval, verifyNew(verifier)),
		jobs.VerifyAll(c.VerifyAllInterval, verifyAll(verifier)),
		jobs.SignCheckpoints(c.CheckpointInterval, signCheckpoints(signer, a.registry)),
		jobs.ExpireCredentials(c.CredentialScanInterval, queries, a.ledger, a.now),
		jobs.CheckKeys(c.ControlCheckInterval, func(ctx context.Context) (jobs.Verdict, error) {
			fault, err := keys.Check(ctx, a.pool, c.MasterKeyFile)
			return jobs.Verdict{Fault: fault}, err
		}),
		jobs.CheckGuards(min(c.ControlCheckInterval, guardInterval), func(ctx context.Context) ([]string, error) {
			return migrations.Unguarded(ctx, a.pool)
		}),
		jobs.CheckStreams(min(c.ControlCheckInterval, guardInterval), a.interferences),
		jobs.CheckTLS(c.ControlCheckInterval, c.PublicURL, nil, a.now),
		jobs.CheckRotation(c.ControlCheckInterval, jobs.RotationRules{
			MaxAge: c.SigningKeyMaxAge, Grace: 2*c.CredentialScanInterval + time.Minute,
		}, func() time.Time { return signingSince(keys) }, queries, a.now),
	}
	m := newJobMetrics(a.registry, list, server)
	return jobs.NewScheduler(a.pool, list, jobs.Options{Logger: a.logger, Now: a.now, Ran: m.ran, Seen: m.seen})
}

// interferences are what was done to the ledger's streams past the ledger, each in a
// line of its own.
func (a *App) interferences(ctx context.Context) (told []string, err error) {
	found, err := eventstore.Interferences(ctx, a.store, 0)
	for _, i := range found {
		told = append(told, verify.FindingOf(i).Error())
	}
	return told, err
}

// verifyAll proves the ledger from its beginning.
func verifyAll(verifier *verify.Verifier) jobs.Judge {
	return func(ctx context.Context) (jobs.Verdict, error) {
		report, err := verifier.Verify(ctx, verify.Scope{})
		return verdict(report), err
	}
}

// verifyNew proves what has come since the last time, and remembers how far it came.
func verifyNew(verifier *verify.Verifier) jobs.Judge {
	return func(ctx context.Context) (jobs.Verdict, error) {
		report, err := verifier.VerifyNew(ctx)
		if err == nil {
			err = verifier.Remember(ctx, report)
		}
		return verdict(report), err
	}
}

func verdict(report verify.Report) jobs.Verdict {
	v := jobs.Verdict{Count: report.Checked}
	if report.Break != nil {
		v.Fault = report.Break
	}
	return v
}

// signingSince is when the oldest key came into use that signs.
func signingSince(keys *keyring.Keyring) (oldest time.Time) {
	for _, key := range keys.PublicKeys() {
		if !key.Retired && (oldest.IsZero() || key.CreatedAt.Before(oldest)) {
			oldest = key.CreatedAt
		}
	}
	return oldest
}

// controls tells how the controls stand. When the database is away nothing is
// known of them.
func (a *App) controls(ctx context.Context) []api.Control {
	runs, err := jobs.Runs(ctx, a.pool)
	if err != nil {
		a.logger.WarnContext(ctx, "the controls are unknown", "error", err)
	}
	controls := jobs.Controls(runs, a.now())
	shown := make([]api.Control, len(controls))
	for i, c := range controls {
		shown[i] = api.Control{ID: c.ID, Name: c.Name, Status: string(c.Status), LastChecked: c.LastChecked}
		for _, r := range c.Jobs {
			shown[i].Jobs = append(shown[i].Jobs, api.ControlJob{
				Name: r.Job, Result: string(r.Outcome), LastRun: r.FinishedAt, Duration: r.Duration, NextRun: r.NextAt,
			})
		}
	}
	return shown
}

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

// guardInterval is how often the guards of the database are looked at, at least:
// five queries of catalogues, over all servers.
const guardInterval = time.Minute

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
