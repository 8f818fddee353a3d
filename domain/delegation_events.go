package domain

import "time"

// DelegationCreated is stored as "delegation.created", schema 1. ParentID is
// the link that the delegator itself was lent the scopes by; absent where they
// are its own. CredentialID is that of the token it was made with: revoking or
// rotating that credential ends the delegation. Events written before that was
// so have none, and their delegations outlive the credential.
// CredentialRevision is up to where the delegator's stream was known when the
// token was seen to be good: an end of the credential at a later revision ends the
// delegation, on whichever side of this event it stands in the ledger. Without
// it, as in older events, only one that stands after it does.
type DelegationCreated struct {
	DelegationID   DelegationID   `json:"chainId"`
	OrganizationID OrganizationID `json:"organizationId"`
	DelegatorID    AgentID        `json:"delegatorAgentId"`
	DelegateeID    AgentID        `json:"delegateeAgentId"`
	Scopes         Scopes         `json:"scopes"`
	TTLSeconds     int            `json:"ttlSeconds"`
	ExpiresAt      time.Time      `json:"expiresAt"`
	MaxDepth       int            `json:"maxDepth"`
	Depth          int            `json:"depth"`
	ParentID       *DelegationID  `json:"parentChainId,omitempty"`
	CredentialID   *CredentialID  `json:"credentialId,omitempty"`

	CredentialRevision int64 `json:"credentialRevision,omitempty"`
}

// DelegationRevoked is stored as "delegation.revoked", schema 1. It ends every
// link below this one too, and every token issued under any of them.
type DelegationRevoked struct {
	DelegationID DelegationID `json:"chainId"`
	DelegatorID  AgentID      `json:"delegatorAgentId"`
	RevokedBy    AgentID      `json:"revokedBy"`
	Reason       string       `json:"reason"`
}

func (DelegationCreated) EventType() Type { return "delegation.created" }
func (DelegationRevoked) EventType() Type { return "delegation.revoked" }
