package chaos_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/test/chaos"
)

func TestBrokenDelegationsAreFound(t *testing.T) {
	t.Parallel()
	mustBeFound(t, map[string]broken{
		"scopes lent that the lender has not": {chaos.RuleDelegation, func(b *book) {
			b.delegation.UUID = uuid.New()
			e := b.lent()
			e.Scopes = domain.NewScopes("agents:write")
			b.delegations(e)
		}},
		"a delegation to somebody suspended long before": {chaos.RuleDelegation, func(b *book) {
			b.write(domain.AgentStream(b.borrower), domain.AgentSuspended{AgentID: b.borrower})
			b.later()
			b.delegation.UUID = uuid.New()
			b.delegations(b.lent())
		}},
		"an exchange of what was lent with a secret that was rotated long before": {chaos.RuleDelegation, func(b *book) {
			credential := domain.CredentialID{UUID: uuid.New()}
			b.write(domain.AgentStream(b.lender), domain.CredentialGenerated{
				AgentID: b.lender, CredentialID: credential, Kind: domain.SecretCredential, Verifier: &domain.Verifier{KeyID: "k", MAC: []byte("1")},
			})
			b.delegation.UUID = uuid.New()
			e := b.lent()
			e.CredentialID = &credential
			b.delegations(e)
			b.write(domain.AgentStream(b.lender), domain.CredentialRotated{
				AgentID: b.lender, CredentialID: credential, Verifier: &domain.Verifier{KeyID: "k", MAC: []byte("2")},
			})
			b.later()
			b.delegations(b.exchanged())
		}},
		"an exchange of what was lent while its secret was rotated": {chaos.RuleDelegation, func(b *book) {
			credential := domain.CredentialID{UUID: uuid.New()}
			b.write(domain.AgentStream(b.lender), domain.CredentialGenerated{
				AgentID: b.lender, CredentialID: credential, Kind: domain.SecretCredential, Verifier: &domain.Verifier{KeyID: "k", MAC: []byte("1")},
			})
			b.delegation.UUID = uuid.New()
			e := b.lent()
			e.CredentialID, e.CredentialRevision = &credential, 1
			b.write(domain.AgentStream(b.lender), domain.CredentialRotated{
				AgentID: b.lender, CredentialID: credential, Verifier: &domain.Verifier{KeyID: "k", MAC: []byte("2")},
			})
			b.delegations(e)
			b.later()
			b.delegations(b.exchanged())
		}},
		"a delegation that was made with what nobody has seen yet": {chaos.RuleDelegation, func(b *book) {
			credential := domain.CredentialID{UUID: uuid.New()}
			b.delegation.UUID = uuid.New()
			e := b.lent()
			e.CredentialID, e.CredentialRevision = &credential, 99
			b.delegations(e)
		}},
		"a link below one that allows none": {chaos.RuleDelegation, func(b *book) {
			parent := b.below
			b.another(func(e *domain.DelegationCreated) {
				e.ParentID, e.Depth, e.DelegatorID, e.DelegateeID = &parent, 2, b.lender, b.borrower
			})
		}},
		"a link that allows as many as the one above": {chaos.RuleDelegation, func(b *book) {
			b.another(func(e *domain.DelegationCreated) { e.MaxDepth = 1 })
		}},
		"a link that is wider than the one above": {chaos.RuleDelegation, func(b *book) {
			b.another(func(e *domain.DelegationCreated) { e.Scopes = domain.NewScopes("agents:read", "audit:read") })
		}},
		"a link that outlives the one above": {chaos.RuleDelegation, func(b *book) {
			b.another(func(e *domain.DelegationCreated) { e.TTLSeconds, e.ExpiresAt = 86_400, b.at.Add(86_400*time.Second) })
		}},
		"a link by who was not lent the one above": {chaos.RuleDelegation, func(b *book) {
			b.another(func(e *domain.DelegationCreated) { e.DelegatorID, e.DelegateeID = b.lender, b.borrower })
		}},
		"a link below one that was revoked long before": {chaos.RuleDelegation, func(b *book) {
			b.delegations(domain.DelegationRevoked{DelegationID: b.delegation, DelegatorID: b.lender, RevokedBy: b.lender})
			b.later()
			b.another(func(*domain.DelegationCreated) {})
		}},
		"an exchange below a link that was revoked long before": {chaos.RuleDelegation, func(b *book) {
			b.delegations(domain.DelegationRevoked{DelegationID: b.delegation, DelegatorID: b.lender, RevokedBy: b.lender})
			b.later()
			b.belows(b.exchangedBelow())
		}},
		"an exchange of what was lent on by who was suspended long before": {chaos.RuleDelegation, func(b *book) {
			b.write(domain.AgentStream(b.borrower), domain.AgentSuspended{AgentID: b.borrower})
			b.later()
			b.belows(b.exchangedBelow())
		}},
		"an exchange for who is not the first that lent": {chaos.RuleDelegation, func(b *book) {
			e := b.exchangedBelow()
			e.Subject = &b.borrower
			b.belows(e)
		}},
		"a delegation in an organization suspended long before": {chaos.RuleDelegation, func(b *book) {
			b.organizations(domain.OrganizationSuspended{OrganizationID: b.organization})
			b.later()
			b.delegation.UUID = uuid.New()
			b.delegations(b.lent())
		}},
		"an exchange of a revoked delegation": {chaos.RuleDelegation, func(b *book) {
			b.delegations(domain.DelegationRevoked{DelegationID: b.delegation, DelegatorID: b.lender, RevokedBy: b.lender})
			b.delegations(b.exchanged())
		}},
		"an exchange that outlives the delegation": {chaos.RuleDelegation, func(b *book) {
			e := b.exchanged()
			e.ExpiresAt = e.ExpiresAt.Add(80_000 * time.Second)
			b.delegations(e)
		}},
		"an exchange by somebody else": {chaos.RuleDelegation, func(b *book) {
			e := b.exchanged()
			e.AgentID = b.lender
			b.delegations(e)
		}},
	})
}
