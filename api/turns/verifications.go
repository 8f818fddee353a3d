package turns

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/replay/verify"
)

// How much of a server Verifications may take. They cost the more the more
// events there are, and everybody with audit:read can ask for them.
const (
	tenantsVerified   = 2                // at once, each of its own part
	wholesVerified    = 1                // at once, of the whole ledger
	verificationPause = 10 * time.Second // until one who is refused comes again
)

// Verification is what is verified.
type Verification struct {
	Scope       verify.Scope
	Incremental bool // only what is new; for the whole ledger
}

// Verifications shares out verifying: of several that ask for the same one at
// once, one makes it; an organization has one at a time, and a server few. No
// result is kept: an answer is about the ledger as it is, and not as it was
// before somebody laid hands on it.
type Verifications struct {
	verify func(context.Context, Verification) (verify.Report, error)
	now    func() time.Time
	wait   time.Duration // for others to end

	tenants, wholes chan struct{} // one element for each that runs

	took      prometheus.Histogram
	integrity *prometheus.GaugeVec // without labels, so that it is not there before the first verification

	mu   sync.Mutex // guards runs and the waiting of each
	runs map[domain.OrganizationID]*verificationRun
}

type verificationRun struct {
	of      Verification
	waiting int
	cancel  context.CancelFunc
	done    chan struct{} // closed when report and err are there
	report  verify.Report
	err     error
}

// NewVerifications makes them by a verifier.
func NewVerifications(verifier *verify.Verifier, registry prometheus.Registerer, now func() time.Time) *Verifications {
	v := &Verifications{
		verify: func(ctx context.Context, of Verification) (verify.Report, error) {
			if of.Incremental {
				return verifier.VerifyNew(ctx)
			}
			return verifier.Verify(ctx, of.Scope)
		},
		now: now, wait: readPatience,
		tenants: make(chan struct{}, tenantsVerified), wholes: make(chan struct{}, wholesVerified),
		runs: map[domain.OrganizationID]*verificationRun{},
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "agentidp_verification_duration_seconds", Help: "Time to verify the ledger or a part of it.",
			Buckets: []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 300},
		}),
		integrity: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "agentidp_audit_chain_integrity", Help: "1 when the last verification of the ledger found it intact, 0 when broken.",
		}, nil),
	}
	registry.MustRegister(v.took, v.integrity)
	return v
}

// Report waits for a verification that others may wait for too, and has the metrics
// show it.
func (v *Verifications) Report(ctx context.Context, of Verification) (verify.Report, error) {
	start := time.Now()
	report, err := v.report(ctx, of)
	if err != nil {
		return report, err
	}
	v.took.Observe(time.Since(start).Seconds())
	// What is new says nothing of what is old, unless it is broken.
	if of.Scope == (verify.Scope{}) && (!of.Incremental || report.Break != nil) {
		v.ShowIntegrity(report.Break == nil)
	}
	return report, nil
}

// ShowIntegrity has the metrics show what a verification of the whole ledger found.
func (v *Verifications) ShowIntegrity(intact bool) {
	value := 0.0
	if intact {
		value = 1
	}
	v.integrity.WithLabelValues().Set(value)
}

// report waits for a verification that others may wait for too. It is given up
// when nobody does any more.
func (v *Verifications) report(ctx context.Context, of Verification) (verify.Report, error) {
	run, err := v.join(ctx, of)
	if err != nil {
		return verify.Report{}, err
	}
	defer v.leave(run)
	select {
	case <-run.done:
		return run.report, run.err
	case <-ctx.Done():
		return verify.Report{}, ctx.Err()
	}
}

// join begins a verification where the same one does not run already.
func (v *Verifications) join(ctx context.Context, of Verification) (*verificationRun, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	run, running := v.runs[of.Scope.Organization]
	if running && run.of != of {
		return nil, domain.Refuse(router.CodeRateLimit, "another part is being verified for the organization; try again when Retry-After says").
			With(router.DetailResetAt, v.now().Add(verificationPause).UTC())
	}
	if !running {
		background, cancel := context.WithCancel(context.WithoutCancel(ctx))
		run = &verificationRun{of: of, cancel: cancel, done: make(chan struct{})}
		v.runs[of.Scope.Organization] = run
		go func() {
			run.report, run.err = v.take(background, of)
			v.mu.Lock()
			v.forget(run)
			v.mu.Unlock()
			close(run.done)
		}()
	}
	run.waiting++
	return run, nil
}

// leave ends a run that nobody waits for. Who comes later begins another.
func (v *Verifications) leave(run *verificationRun) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if run.waiting--; run.waiting == 0 {
		v.forget(run)
		run.cancel()
	}
}

// forget lets nobody join a run any more: who asks from now on may have written
// what it has not read. Call it with mu held.
func (v *Verifications) forget(run *verificationRun) {
	if v.runs[run.of.Scope.Organization] == run {
		delete(v.runs, run.of.Scope.Organization)
	}
}

// take verifies when it is its turn.
func (v *Verifications) take(ctx context.Context, of Verification) (verify.Report, error) {
	turns := v.tenants
	if of.Scope.Organization.IsZero() {
		turns = v.wholes
	}
	patience := time.NewTimer(v.wait)
	defer patience.Stop()
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
		return v.verify(ctx, of)
	case <-ctx.Done():
		return verify.Report{}, ctx.Err()
	case <-patience.C:
		return verify.Report{}, domain.Refuse(domain.CodeUnavailable,
			"this server is verifying for others already; try again when Retry-After says").
			With(router.DetailResetAt, v.now().Add(verificationPause).UTC())
	}
}
