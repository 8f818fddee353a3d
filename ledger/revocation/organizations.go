package revocation

import (
	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/follow"
)

// organization is what requests are decided by: what has become of its tokens,
// and its status, tier and limits. Nothing here depends on its members, so they
// are left out.
type organization struct {
	fate
	domain.Organization
}

func (o organization) evolved(e follow.Event) organization {
	o.Organization = o.Evolve(e.Fact, e.Time)
	o.Members = nil
	return o
}

// Standing is how an organization stands.
type Standing struct {
	Status domain.OrganizationStatus
	Tier   domain.Tier
	Limits domain.Limits // overrides included
}

// Standing of an organization; found is false when it was never created, as
// far as is known.
func (v View) Standing(id domain.OrganizationID) (standing Standing, found bool) {
	o := v.organization(id)
	return Standing{Status: o.Status, Tier: o.Tier, Limits: o.Limits()}, !o.ID.IsZero()
}

// OrganizationActive reports whether an organization is neither suspended nor
// deleted, as far as is known.
func (v View) OrganizationActive(id domain.OrganizationID) bool {
	return v.index != nil && v.index.loaded() && !v.organization(id).Dead
}

// Era of an organization: credentials of earlier ones have ended, see
// [domain.Agent.InEra]. 0 where it never ended any, as far as is known.
func (v View) Era(id domain.OrganizationID) int { return v.organization(id).Era }

func (v View) organization(id domain.OrganizationID) organization {
	if v.index == nil {
		return organization{}
	}
	v.index.mu.RLock()
	defer v.index.mu.RUnlock()
	return v.index.organizations[id]
}
