package chaos_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/test/chaos"
)

func TestBrokenOrganizationsAreFound(t *testing.T) {
	t.Parallel()
	mustBeFound(t, map[string]broken{
		"a token of an organization suspended long before": {chaos.RuleOrganization, func(b *book) {
			b.organizations(domain.OrganizationSuspended{OrganizationID: b.organization})
			b.later()
			b.agent(b.issued())
		}},
		"an agent whose address another has claimed": {chaos.RuleClaimed, func(b *book) {
			b.claim(newAgent(), "new@acme.example")
			b.create(newAgent(), "new@acme.example")
		}},
		"a claim taken from somebody who may come to life": {chaos.RuleClaimed, func(b *book) {
			first, second := newAgent(), newAgent()
			b.claim(first, "new@acme.example")
			b.write(domain.EmailClaimStream(b.organization, "new@acme.example"), domain.ClaimTakenOver{
				Kind: domain.ClaimEmail, Owner: second.UUID, OrganizationID: b.organization, From: first.UUID,
			})
		}},
		"a seat beyond the cap": {chaos.RuleSeated, func(b *book) { b.seat(newAgent()) }},
		"a seat taken twice":    {chaos.RuleSeated, func(b *book) { b.seat(b.lender) }},
		"a seat taken from an agent that lives": {chaos.RuleSeated, func(b *book) {
			b.seats(domain.SeatReleased{OrganizationID: b.organization, AgentID: b.lender})
		}},
		"an organization deleted while its seats are open": {chaos.RuleSeated, func(b *book) {
			b.organizations(domain.OrganizationDeleted{OrganizationID: b.organization})
		}},
		"a slug twice": {chaos.RuleUnique, func(b *book) {
			b.organization.UUID = uuid.New()
			b.organizations(domain.OrganizationCreated{OrganizationID: b.organization, Name: "Acme", Slug: "acme", PlanTier: domain.TierFree})
		}},
		"an organization suspended twice": {chaos.RuleAllowed, func(b *book) {
			b.organizations(domain.OrganizationSuspended{OrganizationID: b.organization})
			b.organizations(domain.OrganizationSuspended{OrganizationID: b.organization})
		}},
		"a member of another organization": {chaos.RuleOrganization, func(b *book) {
			b.organizations(domain.MemberAdded{OrganizationID: b.organization, AgentID: newAgent(), Role: domain.RoleAdmin})
		}},
		"a change from a tier that it was not on": {chaos.RuleAllowed, func(b *book) {
			b.organizations(b.tierChanged(domain.TierPro, domain.TierFree))
		}},
		"a change to the tier that it is on": {chaos.RuleAllowed, func(b *book) {
			b.organizations(b.tierChanged(domain.TierEnterprise, domain.TierEnterprise))
		}},
		"a member twice": {chaos.RuleAllowed, func(b *book) {
			b.organizations(b.joined(b.lender))
			b.organizations(b.joined(b.lender))
		}},
		"a member of a deleted organization": {chaos.RuleAllowed, func(b *book) {
			b.dissolve()
			b.organizations(b.joined(b.lender))
		}},
		"a deleted organization that comes back": {chaos.RuleAllowed, func(b *book) {
			b.dissolve()
			b.organizations(domain.OrganizationReactivated{OrganizationID: b.organization})
		}},
		"an agent registered in a deleted organization": {chaos.RuleSeated, func(b *book) {
			b.dissolve()
			b.register(newAgent(), "new@acme.example")
		}},
		"seats closed while somebody sits": {chaos.RuleSeated, func(b *book) {
			b.seats(domain.SeatsClosed{OrganizationID: b.organization})
		}},
		"an agent without a seat in the end": {chaos.RuleSeated, func(b *book) {
			e := newAgent()
			b.claim(e, "new@acme.example")
			b.create(e, "new@acme.example")
		}},
	})
}
