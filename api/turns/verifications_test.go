package turns

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sentryagent/agentidp/api/router"
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/replay/verify"
)

// verifying is a verification that ends when the test lets it.
type verifying struct {
	*Verifications
	begun   chan Verification // one for each that has begun
	release chan verify.Report
}

func newVerifying(t *testing.T) *verifying {
	t.Helper()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	v := &verifying{begun: make(chan Verification, 100), release: make(chan verify.Report)}
	v.Verifications = NewVerifications(verify.New(nil, verify.Options{}), prometheus.NewRegistry(), func() time.Time { return now })
	v.Verifications.verify = func(ctx context.Context, of Verification) (verify.Report, error) {
		v.begun <- of
		select {
		case report := <-v.release:
			return report, nil
		case <-ctx.Done():
			return verify.Report{}, ctx.Err()
		}
	}
	return v
}

func (v *verifying) ask(ctx context.Context, of Verification) <-chan error {
	answered := make(chan error, 1)
	go func() {
		_, err := v.report(ctx, of)
		answered <- err
	}()
	return answered
}

// waiting blocks until so many wait for a verification.
func (v *verifying) waiting(t *testing.T, of Verification, want int) {
	t.Helper()
	for t.Context().Err() == nil {
		v.Verifications.mu.Lock()
		run := v.runs[of.Scope.Organization]
		is := run != nil && run.waiting == want
		v.Verifications.mu.Unlock()
		if is {
			return
		}
	}
}

func ofTenant() Verification {
	return Verification{Scope: verify.Scope{Organization: domain.OrganizationID{UUID: uuid.New()}}}
}

func TestVerificationsOfOneOrganizationAreShared(t *testing.T) {
	t.Parallel()
	v, tenant := newVerifying(t), ofTenant()
	var answers []<-chan error
	for range 20 {
		answers = append(answers, v.ask(t.Context(), tenant))
	}
	v.waiting(t, tenant, 20)
	v.release <- verify.Report{Checked: 7}
	for _, answer := range answers {
		if err := <-answer; err != nil {
			t.Error(err)
		}
	}
	if len(v.begun) != 1 {
		t.Errorf("%d verifications for 20 requests, want 1", len(v.begun))
	}
	again := v.ask(t.Context(), tenant)
	v.release <- verify.Report{Checked: 8}
	if err := <-again; err != nil || len(v.begun) != 2 {
		t.Errorf("asked again: %v and %d verifications, want another: the ledger may have been altered since", err, len(v.begun))
	}
}

func TestOneOrganizationVerifiesOneThingAtATime(t *testing.T) {
	t.Parallel()
	v, tenant := newVerifying(t), ofTenant()
	all := v.ask(t.Context(), tenant)
	<-v.begun
	since := tenant
	since.Scope.From = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	if err := <-v.ask(t.Context(), since); !errors.Is(err, &domain.Error{Code: router.CodeRateLimit}) {
		t.Errorf("another part meanwhile: %v, want to be asked to come again", err)
	}
	v.release <- verify.Report{}
	if err := <-all; err != nil {
		t.Error(err)
	}
	later := v.ask(t.Context(), since)
	v.release <- verify.Report{}
	if err := <-later; err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestVerificationsOfManyOrganizationsTakeTurns(t *testing.T) {
	t.Parallel()
	v := newVerifying(t)
	v.wait = time.Millisecond
	first, second := v.ask(t.Context(), ofTenant()), v.ask(t.Context(), ofTenant())
	<-v.begun
	<-v.begun
	if err := <-v.ask(t.Context(), ofTenant()); !errors.Is(err, &domain.Error{Code: domain.CodeUnavailable}) {
		t.Errorf("the third at once: %v, want to be asked to come again", err)
	}
	whole := v.ask(t.Context(), Verification{}) // has a turn of its own
	<-v.begun
	for range 3 {
		v.release <- verify.Report{}
	}
	for _, answer := range []<-chan error{first, second, whole} {
		if err := <-answer; err != nil {
			t.Error(err)
		}
	}
}

func TestVerificationsThatNobodyWaitsForEnd(t *testing.T) {
	t.Parallel()
	v, tenant := newVerifying(t), ofTenant()
	ctx, hangUp := context.WithCancel(t.Context())
	patient := v.ask(t.Context(), tenant)
	<-v.begun
	impatient := v.ask(ctx, tenant)
	v.waiting(t, tenant, 2)
	hangUp()
	if err := <-impatient; !errors.Is(err, context.Canceled) {
		t.Errorf("who hung up: %v", err)
	}
	v.release <- verify.Report{}
	if err := <-patient; err != nil {
		t.Errorf("who stayed: %v", err)
	}
	other := ofTenant()
	ctx, hangUp = context.WithCancel(t.Context())
	alone := v.ask(ctx, other)
	<-v.begun
	hangUp()
	<-alone
	// Its turn is free: two can begin.
	one, two := v.ask(t.Context(), ofTenant()), v.ask(t.Context(), ofTenant())
	<-v.begun
	<-v.begun
	v.release <- verify.Report{}
	v.release <- verify.Report{}
	if err := errors.Join(<-one, <-two); err != nil {
		t.Error(err)
	}
}
