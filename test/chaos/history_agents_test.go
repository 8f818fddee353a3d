package chaos_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/test/chaos"
)

func TestBrokenAgentsAreFound(t *testing.T) {
	t.Parallel()
	mustBeFound(t, map[string]broken{
		"a token after its credential was rotated away": {chaos.RuleAllowed, func(b *book) {
			b.agent(domain.CredentialRevoked{AgentID: b.lender, CredentialID: b.credential})
			b.agent(b.issued())
		}},
		"a token of a credential that never was": {chaos.RuleAllowed, func(b *book) {
			b.credential.UUID = uuid.New()
			b.agent(b.issued())
		}},
		"a token of a suspended agent": {chaos.RuleAllowed, func(b *book) {
			b.agent(domain.AgentSuspended{AgentID: b.lender})
			b.agent(b.issued())
		}},
		"a token with a scope that the agent is not allowed": {chaos.RuleAllowed, func(b *book) {
			e := b.issued()
			e.Scope = "agents:write"
			b.agent(e)
		}},
		"a change of a decommissioned agent": {chaos.RuleAllowed, func(b *book) {
			b.agent(domain.CredentialRevoked{AgentID: b.lender, CredentialID: b.credential})
			b.agent(domain.AgentDecommissioned{AgentID: b.lender})
			b.agent(domain.AgentReactivated{AgentID: b.lender})
		}},
		"a decommissioning that leaves a credential": {chaos.RuleAllowed, func(b *book) {
			b.agent(domain.AgentDecommissioned{AgentID: b.lender})
		}},
		"the same change twice": {chaos.RuleAllowed, func(b *book) {
			b.agent(domain.AgentSuspended{AgentID: b.lender})
			b.agent(domain.AgentSuspended{AgentID: b.lender})
		}},
		"a credential revoked twice": {chaos.RuleAllowed, func(b *book) {
			b.agent(domain.CredentialRevoked{AgentID: b.lender, CredentialID: b.credential})
			b.agent(domain.CredentialRevoked{AgentID: b.lender, CredentialID: b.credential})
		}},
		"a jti twice": {chaos.RuleUnique, func(b *book) {
			e := b.issued()
			b.agent(e)
			b.agent(e)
		}},
		"an e-mail address twice": {chaos.RuleUnique, func(b *book) {
			b.agent(domain.CredentialRevoked{AgentID: b.lender, CredentialID: b.credential})
			b.agent(domain.AgentDecommissioned{AgentID: b.lender})
			b.seats(domain.SeatReleased{OrganizationID: b.organization, AgentID: b.lender})
			second := newAgent()
			b.seat(second)
			b.create(second, "lender@acme.example")
		}},
		"a token with a scope that was taken away": {chaos.RuleAllowed, func(b *book) {
			b.agent(b.rescoped(true, "agents:read"))
			e := b.issued()
			e.Scope = "audit:read"
			b.agent(e)
		}},
		"scopes taken away that end no tokens": {chaos.RuleAllowed, func(b *book) { b.agent(b.rescoped(false, "agents:read")) }},
		"scopes given that end tokens": {chaos.RuleAllowed, func(b *book) {
			b.agent(b.rescoped(true, "agents:read", "audit:read", "tokens:read"))
		}},
	})
}
