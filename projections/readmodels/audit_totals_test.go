package readmodels_test

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// Totals are sums of counts by day; they must be what counting would give.
func TestTotalsAreWhatCountingGives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	progress := w.follow(t)
	organizations := []domain.OrganizationID{newOrganizationID(), newOrganizationID(), {}}
	type happened struct {
		organization domain.OrganizationID
		at           time.Time
		action       domain.Type
	}
	var trail []happened
	var last eventstore.Position
	start := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	for i := range 120 {
		facts := []domain.Event{domain.AgentSuspended{AgentID: newAgentID()}, domain.AuthFailed{ClientID: "x"}, domain.TokenRevoked{}}
		h := happened{organizations[i%len(organizations)], start.Add(time.Duration(i) * 59 * time.Minute), facts[i%7%3].EventType()}
		appended, err := w.store.Append(t.Context(), newStream(), eventstore.NoStream(), draft(t, h.organization, h.at, facts[i%7%3]))
		if err != nil {
			t.Fatal(err)
		}
		trail, last = append(trail, h), appended.Position()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := progress.WaitFor(ctx, last, readmodels.AuditTrail); err != nil {
		t.Fatal(err)
	}

	moment := rapid.Custom(func(rt *rapid.T) time.Time {
		if rapid.IntRange(0, 3).Draw(rt, "open") == 0 {
			return time.Time{}
		}
		return start.Add(time.Duration(rapid.IntRange(-10, 130).Draw(rt, "hour")) * time.Hour)
	})
	rapid.Check(t, func(rt *rapid.T) {
		f := readmodels.AuditFilter{
			From: moment.Draw(rt, "from"), To: moment.Draw(rt, "to"), NotBefore: moment.Draw(rt, "notBefore"),
			Action:  rapid.SampledFrom([]domain.Type{"", "agent.suspended", "auth.failed"}).Draw(rt, "action"),
			Outcome: rapid.SampledFrom([]domain.AuditOutcome{"", domain.AuditSuccess, domain.AuditFailure}).Draw(rt, "outcome"),
		}
		tenant, all := readmodels.InOrganization(organizations[0]), rapid.Bool().Draw(rt, "all")
		if all {
			tenant = readmodels.AllOrganizations
		}
		want := 0
		for _, h := range trail {
			switch failed := h.action == "auth.failed"; {
			case !all && h.organization != organizations[0],
				!f.From.IsZero() && h.at.Before(f.From), !f.NotBefore.IsZero() && h.at.Before(f.NotBefore),
				!f.To.IsZero() && h.at.After(f.To), f.Action != "" && f.Action != h.action,
				f.Outcome == domain.AuditFailure && !failed, f.Outcome == domain.AuditSuccess && failed:
			default:
				want++
			}
		}
		got, err := w.queries.AuditEvents(t.Context(), tenant, f)
		if err != nil {
			rt.Fatal(err)
		}
		if got.Total != want || len(got.Items) != min(want, 20) {
			rt.Fatalf("%+v: total %d and %d items, want %d", f, got.Total, len(got.Items), want)
		}
	})
}
