package history

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/sentryagent/agentidp/domain"
)

// What the aggregates tell of themselves. Nothing here recognizes a secret:
// verifiers stay in the ledger.

func tellAgent(a domain.Agent) []told {
	if !a.Exists() {
		return nil
	}
	things := []told{{AgentThing, a.ID.UUID, []Fact{
		{Name: "email", Value: a.Email},
		{Name: "organizationId", Value: a.OrganizationID},
		{Name: "status", Value: a.Status},
		{Name: "scopes", Value: a.Scopes},
		{Name: "did", Value: a.DID},
		{Name: "agentType", Value: a.Profile.AgentType},
		{Name: "version", Value: a.Profile.Version},
		{Name: "capabilities", Value: a.Profile.Capabilities},
		{Name: "owner", Value: a.Profile.Owner},
		{Name: "deploymentEnv", Value: a.Profile.DeploymentEnv},
		{Name: "description", Value: a.Profile.Description},
		{Name: "metadata", Value: a.Profile.Metadata},
		{Name: "isPublic", Value: a.Profile.IsPublic},
		{Name: "createdAt", Value: moment(a.CreatedAt)},
		{Name: "lastAuthAt", Value: moment(a.LastAuthAt)},
	}}}
	for _, c := range a.Credentials {
		things = append(things, tellCredential(a.ID, c))
	}
	return things
}

func tellCredential(owner domain.AgentID, c domain.Credential) told {
	var key any
	if len(c.PublicKey) > 0 {
		key = json.RawMessage(bytes.Clone(c.PublicKey))
	}
	return told{CredentialThing, c.ID.UUID, []Fact{
		{Name: "agentId", Value: owner},
		{Name: "kind", Value: c.Kind},
		{Name: "status", Value: c.Status},
		{Name: "expiresAt", Value: moment(c.ExpiresAt)},
		{Name: "publicKeyJwk", Value: key},
		{Name: "createdAt", Value: moment(c.CreatedAt)},
		{Name: "rotatedAt", Value: moment(c.RotatedAt)},
		{Name: "revokedAt", Value: moment(c.RevokedAt)},
	}}
}

func tellOrganization(o domain.Organization) []told {
	if !o.Exists() {
		return nil
	}
	things := []told{{OrganizationThing, o.ID.UUID, []Fact{
		{Name: "name", Value: o.Name},
		{Name: "slug", Value: o.Slug},
		{Name: "status", Value: o.Status},
		{Name: "planTier", Value: o.Tier},
		{Name: "maxAgents", Value: optional(o.MaxAgents)},
		{Name: "maxCallsPerDay", Value: optional(o.MaxCallsPerDay)},
		{Name: "maxTokensPerDay", Value: optional(o.MaxTokensPerDay)},
		{Name: "maxTokensPerMonth", Value: optional(o.MaxTokensPerMonth)},
		{Name: "createdAt", Value: moment(o.CreatedAt)},
	}}}
	members := make([]domain.AgentID, 0, len(o.Members))
	for id := range o.Members {
		members = append(members, id)
	}
	slices.SortFunc(members, func(a, b domain.AgentID) int { return bytes.Compare(a.UUID[:], b.UUID[:]) })
	for _, id := range members {
		things = append(things, told{MemberThing, id.UUID, []Fact{{Name: "role", Value: o.Members[id]}}})
	}
	return things
}

func tellDelegation(d domain.Delegation) []told {
	if !d.Exists() {
		return nil
	}
	var parent, credential any
	if !d.ParentID.IsZero() {
		parent = d.ParentID
	}
	if !d.CredentialID.IsZero() {
		credential = d.CredentialID
	}
	return []told{{DelegationThing, d.ID.UUID, []Fact{
		{Name: "organizationId", Value: d.OrganizationID},
		{Name: "delegatorAgentId", Value: d.DelegatorID},
		{Name: "delegateeAgentId", Value: d.DelegateeID},
		{Name: "scopes", Value: d.Scopes},
		{Name: "issuedAt", Value: moment(d.IssuedAt())},
		{Name: "expiresAt", Value: moment(d.ExpiresAt)},
		{Name: "revokedAt", Value: moment(d.RevokedAt)},
		{Name: "credentialId", Value: credential},
		{Name: "parentChainId", Value: parent},
		{Name: "maxDepth", Value: d.MaxDepth},
		{Name: "depth", Value: d.Depth},
	}}}
}
