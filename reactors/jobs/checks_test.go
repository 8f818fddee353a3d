package jobs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger"
	"github.com/sentryagent/agentidp/ledger/revocation"
	"github.com/sentryagent/agentidp/reactors/jobs"
)

func TestTLSCheck(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.Config.ErrorLog = secure.Config.ErrorLog
	old.StartTLS()
	t.Cleanup(old.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	roots := secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	ends := secure.Certificate().NotAfter
	now := func(before time.Duration) func() time.Time { return func() time.Time { return ends.Add(-before) } }
	nobody := deadAddress(t)
	for name, test := range map[string]struct {
		url    string
		trust  bool
		now    func() time.Time
		failed bool
		away   bool
		detail string
	}{
		"all is well":           {secure.URL, true, now(8 * 24 * time.Hour), false, false, "TLS 1.3"},
		"ends within a week":    {secure.URL, true, now(6 * 24 * time.Hour), true, false, "certificate ends at"},
		"has ended":             {secure.URL, true, now(-time.Hour), true, false, "expired"},
		"of nobody we trust":    {secure.URL, false, now(8 * 24 * time.Hour), true, false, "does not hold"},
		"plain http":            {"http://id.example.com", true, time.Now, true, false, "plain http"},
		"no TLS behind https":   {strings.Replace(plain.URL, "http:", "https:", 1), true, time.Now, true, false, "does not speak TLS"},
		"TLS of the last cycle": {old.URL, true, time.Now, true, false, "TLS 1.2"},
		"nobody there":          {"https://" + nobody, true, time.Now, false, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			trusted := roots
			if !test.trust {
				trusted = nil
			}
			got, err := jobs.CheckTLS(time.Hour, test.url, trusted, test.now).Run(t.Context())
			if got.Failed != test.failed || (err != nil) != test.away || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("got %+v, %v; want failed %v, away %v, and %q", got, err, test.failed, test.away, test.detail)
			}
		})
	}
}

// deadAddress is one where nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// shelf is a read model of credentials: agents whose credentials had expired
// by a time, and how many are about to.
type shelf struct {
	agents   []domain.AgentID // sorted
	expired  time.Time
	expiring int64
	err      error
}

func (s shelf) AgentsWithExpired(_ context.Context, by time.Time, after domain.AgentID, limit int) ([]domain.AgentID, error) {
	var found []domain.AgentID
	for _, id := range s.agents {
		if !by.Before(s.expired) && bytes.Compare(id.UUID[:], after.UUID[:]) > 0 && len(found) < limit {
			found = append(found, id)
		}
	}
	return found, s.err
}

func (s shelf) CredentialsExpiring(context.Context, time.Time, time.Time) (int64, error) {
	return s.expiring, s.err
}

func TestRotationCheck(t *testing.T) {
	t.Parallel()
	const day, grace = 24 * time.Hour, 2 * time.Hour
	at := newClock().now()
	agent := []domain.AgentID{{UUID: uuid.New()}}
	for name, test := range map[string]struct {
		age    time.Duration
		shelf  shelf
		failed bool
	}{
		"all is well":                  {365 * day, shelf{}, false},
		"a key is too old":             {365*day + time.Second, shelf{}, true},
		"expired within the grace":     {day, shelf{agents: agent, expired: at.Add(-grace + time.Second)}, false},
		"expired longer ago than that": {day, shelf{agents: agent, expired: at.Add(-grace)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			rules := jobs.RotationRules{MaxAge: 365 * day, Grace: grace}
			since := func() time.Time { return at.Add(-test.age) }
			got, err := jobs.CheckRotation(time.Hour, rules, since, test.shelf, newClock().now).Run(t.Context())
			if err != nil || got.Failed != test.failed {
				t.Errorf("got %+v, %v; want failed %v", got, err, test.failed)
			}
		})
	}
	away := errors.New("away")
	if _, err := jobs.CheckRotation(time.Hour, jobs.RotationRules{MaxAge: day}, newClock().now, shelf{err: away}, newClock().now).Run(t.Context()); !errors.Is(err, away) {
		t.Errorf("without a read model: %v", err)
	}
}

func TestVerificationAndKeyJobsTellFaultsFromFailures(t *testing.T) {
	t.Parallel()
	broken, away := errors.New("altered_record"), errors.New("away")
	for name, test := range map[string]struct {
		fault, err error
		failed     bool
	}{
		"intact": {}, "broken": {fault: broken, failed: true}, "away": {err: away},
	} {
		t.Run(name, func(t *testing.T) {
			judge := func(context.Context) (jobs.Verdict, error) {
				return jobs.Verdict{Count: 7, Fault: test.fault}, test.err
			}
			for _, job := range []jobs.Job{
				jobs.VerifyNew(time.Hour, judge), jobs.VerifyAll(time.Hour, judge), jobs.SignCheckpoints(time.Hour, judge), jobs.CheckKeys(time.Hour, judge),
			} {
				got, err := job.Run(t.Context())
				if got.Failed != test.failed || !errors.Is(err, test.err) || test.failed && got.Detail != broken.Error() {
					t.Errorf("%s: got %+v, %v", job.Name, got, err)
				}
			}
		})
	}
}

// Each agent is asked, page after page, and each credential is put on record
// once, however often the job runs and however late the read model is.
func TestExpiredCredentialsArePutOnRecordOnce(t *testing.T) {
	t.Parallel()
	const agents = 450
	clock, store := newClock(), memory.New()
	l := ledger.New(store, nil, revocation.New(store, revocation.Options{}), ledger.Options{Now: clock.now})
	operator := domain.Caller{OrganizationID: domain.OrganizationID{UUID: uuid.New()}, Scopes: domain.AllScopes()}
	organization := domain.OrganizationID{UUID: ledger.NewID()}
	if _, err := l.CreateOrganization(t.Context(), ledger.System(), domain.CreateOrganization{
		Caller: operator, OrganizationID: organization, Name: "Acme", Slug: "acme", PlanTier: domain.TierEnterprise,
	}); err != nil {
		t.Fatal(err)
	}
	ends := clock.now().Add(time.Hour)
	late := shelf{expired: ends, expiring: 3}
	for range agents {
		id := domain.AgentID{UUID: ledger.NewID()}
		if _, err := l.RegisterAgent(t.Context(), ledger.System(), domain.RegisterAgent{
			Caller: operator, AgentID: id, OrganizationID: organization, Email: id.String() + "@acme.example",
			Profile: domain.Profile{AgentType: domain.AgentCustom, Version: "1.0.0", Owner: "me", DeploymentEnv: domain.EnvStaging},
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := l.GenerateCredential(t.Context(), ledger.System(), id, domain.GenerateCredential{
			Caller: operator, CredentialID: domain.CredentialID{UUID: ledger.NewID()}, At: clock.now(),
			Verifier: &domain.Verifier{KeyID: "k", MAC: []byte("mac")}, ExpiresAt: &ends,
		}); err != nil {
			t.Fatal(err)
		}
		late.agents = append(late.agents, id)
	}
	slices.SortFunc(late.agents, func(a, b domain.AgentID) int { return bytes.Compare(a.UUID[:], b.UUID[:]) })
	job := jobs.ExpireCredentials(time.Hour, late, l, clock.now)
	for i, want := range []string{"0 put on record", "450 put on record", "0 put on record"} {
		if i == 1 {
			clock.advance(time.Hour)
		}
		got, err := job.Run(t.Context())
		if err != nil || got.Failed || got.Count != 3 || !strings.HasPrefix(got.Detail, want) {
			t.Errorf("run %d: %+v, %v; want %q", i, got, err, want)
		}
	}
	for _, id := range late.agents {
		agent, err := l.Agent(t.Context(), id)
		if err != nil || agent.Credentials[0].Status != domain.CredentialIsExpired {
			t.Fatalf("agent %s has %+v, %v", id, agent.Credentials, err)
		}
	}
}
