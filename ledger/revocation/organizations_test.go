package revocation_test

import (
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// A view knows every change of an organization that was committed before it was
// asked for.
func TestAViewKnowsHowAnOrganizationStands(t *testing.T) {
	store := memory.New()
	index := revocation.New(store, revocation.Options{})
	id, limit := newOrganizationID(), 7
	if _, found := index.Latest().Standing(id); found {
		t.Error("it knows of an organization that there is not")
	}
	for _, step := range []struct {
		fact domain.Event
		want revocation.Standing
	}{
		{domain.OrganizationCreated{OrganizationID: id, Name: "Acme", Slug: "acme", PlanTier: domain.TierFree},
			revocation.Standing{Status: domain.OrganizationActive, Tier: domain.TierFree, Limits: domain.TierFree.Limits()}},
		{domain.TierChanged{OrganizationID: id, From: domain.TierFree, To: domain.TierPro},
			revocation.Standing{Status: domain.OrganizationActive, Tier: domain.TierPro, Limits: domain.TierPro.Limits()}},
		{domain.OrganizationUpdated{OrganizationID: id, MaxCallsPerDay: &domain.Override{Limit: &limit}},
			revocation.Standing{Status: domain.OrganizationActive, Tier: domain.TierPro, Limits: proWithCalls(limit)}},
		{domain.MemberAdded{OrganizationID: id, AgentID: newAgentID(), Role: domain.RoleAdmin},
			revocation.Standing{Status: domain.OrganizationActive, Tier: domain.TierPro, Limits: proWithCalls(limit)}},
		{domain.OrganizationSuspended{OrganizationID: id},
			revocation.Standing{Status: domain.OrganizationIsSuspended, Tier: domain.TierPro, Limits: proWithCalls(limit)}},
	} {
		record(t, store, domain.OrganizationStream(id), id, step.fact)
		if _, err := index.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, found := index.Latest().Standing(id); !found || got != step.want {
			t.Errorf("after %s: %+v, %t; want %+v", step.fact.EventType(), got, found, step.want)
		}
		if active := index.Latest().OrganizationActive(id); active != (step.want.Status == domain.OrganizationActive) {
			t.Errorf("after %s the index says active: %t", step.fact.EventType(), active)
		}
	}
	if got := index.Size().Organizations; got != 1 {
		t.Errorf("it knows %d organizations, want 1", got)
	}
}

func proWithCalls(limit int) domain.Limits {
	limits := domain.TierPro.Limits()
	limits.MaxCallsPerDay = limit
	return limits
}
