package projections_test

import (
	"testing"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/projections"
)

// After a Sync of the index that it rides on, the directory knows every change
// that was committed before.
func TestDirectoryIsInStepWithTheIndex(t *testing.T) {
	store, directory := memory.New(), projections.NewDirectory()
	index := projections.NewRevocations(store, projections.RevocationsOptions{Also: []projections.Fold{directory.Fold()}})
	id, limit := newOrganizationID(), 7
	if _, found := directory.Standing(id); found {
		t.Error("it knows of an organization that there is not")
	}
	for _, step := range []struct {
		fact domain.Event
		want projections.Standing
	}{
		{domain.OrganizationCreated{OrganizationID: id, Name: "Acme", Slug: "acme", PlanTier: domain.TierFree},
			projections.Standing{Status: domain.OrganizationActive, Tier: domain.TierFree, Limits: domain.TierFree.Limits()}},
		{domain.TierChanged{OrganizationID: id, From: domain.TierFree, To: domain.TierPro},
			projections.Standing{Status: domain.OrganizationActive, Tier: domain.TierPro, Limits: domain.TierPro.Limits()}},
		{domain.OrganizationUpdated{OrganizationID: id, MaxCallsPerDay: &domain.Override{Limit: &limit}},
			projections.Standing{Status: domain.OrganizationActive, Tier: domain.TierPro, Limits: proWithCalls(limit)}},
		{domain.MemberAdded{OrganizationID: id, AgentID: newAgentID(), Role: domain.RoleAdmin},
			projections.Standing{Status: domain.OrganizationActive, Tier: domain.TierPro, Limits: proWithCalls(limit)}},
		{domain.OrganizationSuspended{OrganizationID: id},
			projections.Standing{Status: domain.OrganizationIsSuspended, Tier: domain.TierPro, Limits: proWithCalls(limit)}},
	} {
		record(t, store, domain.OrganizationStream(id), id, step.fact)
		if err := index.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, found := directory.Standing(id); !found || got != step.want {
			t.Errorf("after %s: %+v, %t; want %+v", step.fact.EventType(), got, found, step.want)
		}
		if active := index.OrganizationActive(id); active != (step.want.Status == domain.OrganizationActive) {
			t.Errorf("after %s the index says active: %t", step.fact.EventType(), active)
		}
	}
	if got := directory.Size(); got != 1 {
		t.Errorf("it knows %d organizations, want 1", got)
	}
}

func proWithCalls(limit int) domain.Limits {
	limits := domain.TierPro.Limits()
	limits.MaxCallsPerDay = limit
	return limits
}
