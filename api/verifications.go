package api

import (
	"context"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/replay/verify"
)

// How much of a server verifications may take. They cost the more the more
// events there are, and everybody with audit:read can ask for them.
const (
	tenantsVerified   = 2                // at once, each of its own part
	wholesVerified    = 1                // at once, of the whole ledger
	verificationPause = 10 * time.Second // until one who is refused comes again
)

// verified is what a verification is of.
type verified struct {
	scope       verify.Scope
	incremental bool
}

// verifications shares out verifying: of several that ask for the same one at
// once, one makes it; an organization has one at a time, and a server few. No
// result is kept: an answer is about the ledger as it is, and not as it was
// before somebody laid hands on it.
type verifications struct {
	verify func(context.Context, verified) (verify.Report, error)
	now    func() time.Time
	wait   time.Duration // for others to end

	tenants, wholes chan struct{} // one element for each that runs

	mu   sync.Mutex // guards runs and the waiting of each
	runs map[domain.OrganizationID]*verificationRun
}

type verificationRun struct {
	of      verified
	waiting int
	cancel  context.CancelFunc
	done    chan struct{} // closed when report and err are there
	report  verify.Report
	err     error
}

func newVerifications(verifier *verify.Verifier, now func() time.Time) *verifications {
	return &verifications{
		verify: func(ctx context.Context, of verified) (verify.Report, error) {
			if of.incremental {
				return verifier.VerifyNew(ctx)
			}
			return verifier.Verify(ctx, of.scope)
		},
		now: now, wait: readPatience,
		tenants: make(chan struct{}, tenantsVerified), wholes: make(chan struct{}, wholesVerified),
		runs: map[domain.OrganizationID]*verificationRun{},
	}
}

// report waits for a verification that others may wait for too. It is given up
// when nobody does any more.
func (v *verifications) report(ctx context.Context, of verified) (verify.Report, error) {
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
func (v *verifications) join(ctx context.Context, of verified) (*verificationRun, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	run, running := v.runs[of.scope.Organization]
	if running && run.of != of {
		return nil, domain.Refuse(router.CodeRateLimit, "another part is being verified for the organization; try again when Retry-After says").
			With(router.DetailResetAt, v.now().Add(verificationPause).UTC())
	}
	if !running {
		background, cancel := context.WithCancel(context.WithoutCancel(ctx))
		run = &verificationRun{of: of, cancel: cancel, done: make(chan struct{})}
		v.runs[of.scope.Organization] = run
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
func (v *verifications) leave(run *verificationRun) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if run.waiting--; run.waiting == 0 {
		v.forget(run)
		run.cancel()
	}
}

// forget lets nobody join a run any more: who asks from now on may have written
// what it has not read. Call it with mu held.
func (v *verifications) forget(run *verificationRun) {
	if v.runs[run.of.scope.Organization] == run {
		delete(v.runs, run.of.scope.Organization)
	}
}

// take verifies when it is its turn.
func (v *verifications) take(ctx context.Context, of verified) (verify.Report, error) {
	turns := v.tenants
	if of.scope.Organization.IsZero() {
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
