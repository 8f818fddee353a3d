package revocation_test

import (
	"testing"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/memory"
	"github.com/sentryagent/agentidp/ledger/revocation"
)

// lineage is a chain of delegations, root first, each below the one before.
func lineage(organization domain.OrganizationID, agents ...domain.AgentID) []domain.DelegationCreated {
	var links []domain.DelegationCreated
	for i := range len(agents) - 1 {
		link := delegated(organization, agents[i], agents[i+1])
		if i > 0 {
			link.ParentID, link.Depth = &links[i-1].DelegationID, i
		}
		links = append(links, link)
	}
	return links
}

func recordLinks(t *testing.T, store eventstore.Store, links []domain.DelegationCreated) {
	t.Helper()
	for _, link := range links {
		record(t, store, domain.DelegationStream(link.DelegationID), link.OrganizationID, link)
	}
}

func TestDelegationVerdicts(t *testing.T) {
	organization := newOrganizationID()
	agents := []domain.AgentID{newAgentID(), newAgentID(), newAgentID(), newAgentID(), newAgentID()}
	links := lineage(organization, agents...)
	leaf := links[len(links)-1].DelegationID
	revoked := func(i int) domain.Event { return domain.DelegationRevoked{DelegationID: links[i].DelegationID} }
	type verdicts struct{ leaf, root, old revocation.Verdict } // old: of a basis from before
	for name, c := range map[string]struct {
		facts []domain.Event
		want  verdicts
	}{
		"nothing":                {nil, verdicts{}},
		"the leaf revoked":       {[]domain.Event{revoked(3)}, verdicts{revocation.DelegationEnded, revocation.Alive, revocation.DelegationEnded}},
		"one between revoked":    {[]domain.Event{revoked(1)}, verdicts{revocation.DelegationEnded, revocation.Alive, revocation.DelegationEnded}},
		"the root revoked":       {[]domain.Event{revoked(0)}, verdicts{revocation.DelegationEnded, revocation.DelegationEnded, revocation.DelegationEnded}},
		"the first suspended":    {[]domain.Event{domain.AgentSuspended{AgentID: agents[0]}}, verdicts{revocation.AgentInactive, revocation.AgentInactive, revocation.AgentInactive}},
		"one between suspended":  {[]domain.Event{domain.AgentSuspended{AgentID: agents[2]}}, verdicts{revocation.AgentInactive, revocation.Alive, revocation.AgentInactive}},
		"the last gone":          {[]domain.Event{domain.AgentDecommissioned{AgentID: agents[4]}}, verdicts{revocation.AgentInactive, revocation.Alive, revocation.AgentInactive}},
		"one back again":         {[]domain.Event{domain.AgentSuspended{AgentID: agents[1]}, domain.AgentReactivated{AgentID: agents[1]}}, verdicts{old: revocation.AgentChanged}},
		"the first with less":    {[]domain.Event{domain.AgentUpdated{AgentID: agents[0], ScopesReduced: true}}, verdicts{old: revocation.AgentChanged}},
		"the organization back":  {[]domain.Event{domain.OrganizationSuspended{OrganizationID: organization}, domain.OrganizationReactivated{OrganizationID: organization}}, verdicts{old: revocation.OrganizationChanged}},
		"the organization ended": {[]domain.Event{domain.OrganizationDeleted{OrganizationID: organization}}, verdicts{revocation.OrganizationInactive, revocation.OrganizationInactive, revocation.OrganizationInactive}},
		"somebody else gone":     {[]domain.Event{domain.AgentDecommissioned{AgentID: newAgentID()}}, verdicts{}},
	} {
		t.Run(name, func(t *testing.T) {
			store := memory.New()
			recordLinks(t, store, links)
			r := revocation.New(store, revocation.Options{})
			if got := r.Latest().CheckDelegation(leaf, 0); got != revocation.NotLoaded {
				t.Errorf("before the first sync: %q", got)
			}
			if _, err := r.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			before := r.Position()
			for _, f := range c.facts {
				record(t, store, newStream(), organization, f)
			}
			if _, err := r.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			now := r.Position()
			got := verdicts{r.Latest().CheckDelegation(leaf, now), r.Latest().CheckDelegation(links[0].DelegationID, now), r.Latest().CheckDelegation(leaf, before)}
			if got != c.want {
				t.Errorf("leaf, root, and leaf for an old basis: %q, want %q", got, c.want)
			}
			if got := r.Latest().CheckDelegation(newDelegationID(), now); got != revocation.DelegationEnded {
				t.Errorf("a delegation that never was: %q", got)
			}
		})
	}
}

// A cut that commits between the decision and its token.issued event stands
// before that event and yet ends the token.
func TestACutThatRacedWithAnExchangeEndsTheToken(t *testing.T) {
	organization, from, to, credential := newOrganizationID(), newAgentID(), newAgentID(), newCredentialID()
	for name, cut := range map[string]domain.Event{
		"suspended and back": domain.AgentReactivated{AgentID: from},
		"fewer scopes":       domain.AgentUpdated{AgentID: from, ScopesReduced: true},
		"the actor":          domain.AgentReactivated{AgentID: to},
		"its credential":     domain.CredentialRotated{AgentID: to, CredentialID: credential},
		"the organization":   domain.OrganizationReactivated{OrganizationID: organization},
	} {
		t.Run(name, func(t *testing.T) {
			store := memory.New()
			links := lineage(organization, from, to)
			recordLinks(t, store, links)
			r := revocation.New(store, revocation.Options{})
			if _, err := r.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			basis := r.Position()
			record(t, store, newStream(), organization, cut)
			exchanged := issued(to, credential)
			exchanged.Delegation, exchanged.Subject = &links[0].DelegationID, &from
			position := record(t, store, domain.DelegationStream(links[0].DelegationID), organization, exchanged)
			if _, err := r.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			ref := revocation.Token{
				TokenID: exchanged.TokenID, AgentID: to, CredentialID: credential, OrganizationID: organization,
				ExpiresAt: exchanged.ExpiresAt, Position: position, Basis: basis, Delegation: links[0].DelegationID,
			}
			if got := r.Latest().Check(ref); got == revocation.Alive {
				t.Error("the token lives on what was cut before it was recorded")
			}
			if ref.Basis = position; r.Latest().Check(ref) != revocation.Alive {
				t.Errorf("a token decided on all of that: %q, want it alive", r.Latest().Check(ref))
			}
		})
	}
}

func TestDelegationsAreForgottenWhenTheyExpire(t *testing.T) {
	store, now := memory.New(), time.Now()
	clock := func() time.Time { return now }
	links := lineage(newOrganizationID(), newAgentID(), newAgentID(), newAgentID())
	links[1].ExpiresAt = now.Add(time.Minute)
	recordLinks(t, store, links)
	r := revocation.New(store, revocation.Options{Now: clock})
	if _, err := r.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after      time.Duration
		size       int
		root, leaf revocation.Verdict
	}{
		{0, 2, revocation.Alive, revocation.Alive},
		{time.Minute, 1, revocation.Alive, revocation.DelegationEnded},
		{time.Hour + time.Second, 0, revocation.DelegationEnded, revocation.DelegationEnded},
	} {
		start := now
		now = now.Add(c.after)
		for _, when := range []string{"before", "after"} {
			root, leaf := r.Latest().CheckDelegation(links[0].DelegationID, r.Position()), r.Latest().CheckDelegation(links[1].DelegationID, r.Position())
			if root != c.root || leaf != c.leaf {
				t.Errorf("%v later, %s pruning: root %q, leaf %q; want %q, %q", c.after, when, root, leaf, c.root, c.leaf)
			}
			r.Prune(now)
		}
		if got := r.Size().Delegations; got != c.size {
			t.Errorf("%v later it holds %d delegations, want %d", c.after, got, c.size)
		}
		now = start
	}
	now = now.Add(2 * time.Hour)
	late := revocation.New(store, revocation.Options{Now: clock})
	if _, err := late.Sync(t.Context()); err != nil || late.Size().Delegations != 0 {
		t.Errorf("loaded after they expired: %d delegations, %v", late.Size().Delegations, err)
	}
}
