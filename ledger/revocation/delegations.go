package revocation

import (
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// link is a delegation that has not expired: what it takes to tell whether it
// can be used.
type link struct {
	Parent       domain.DelegationID   `json:"parent,omitzero"` // zero at the root
	Delegator    domain.AgentID        `json:"delegator"`
	Delegatee    domain.AgentID        `json:"delegatee"`
	Organization domain.OrganizationID `json:"organization"`
	ExpiresAt    time.Time             `json:"expiresAt"`
	Revoked      bool                  `json:"revoked,omitempty"`
	// Credential is that of the token it was made with, zero where that was not
	// recorded, and Made the place of its making: what the credential came to
	// after that ends it.
	Credential domain.CredentialID `json:"credential,omitzero"`
	Made       eventstore.Position `json:"made,omitempty"`
	// Seen is up to where the delegator's stream was known then, 0 where that was
	// not recorded: what the credential came to beyond it ends the link as well.
	Seen int64 `json:"seen,omitempty"`
}

// endedWith reports whether a link ended with its credential.
func (l link) endedWith(credential fate) bool {
	return domain.Delegation{CredentialRevision: l.Seen}.EndsWith(credential.LentRevision, credential.Lent > l.Made)
}

// CheckDelegation judges a delegation by what is known: it and every link
// above it must be neither revoked nor expired nor have ended with its
// credential, the organization and every agent on the way must be active, and
// none of them may have been suspended or have lost scopes after the basis. It
// does not verify a token.
//
// The basis is up to where a decision knew the ledger: [View.Position] of the view
// that it began with. A token got by exchange keeps
// it for all its life. The position of the token's own issuance would not do:
// that event is on the delegation's stream, so that an append conflict keeps
// it apart from a revocation of that link, but not from a suspension of one of
// the agents, a loss of scopes, a rotation or a revocation further up, which
// may commit on their streams between the decision and the append. Measured by
// the basis, such a one ends the token whichever came first; at worst a token
// dies of something that its issuer did see.
//
// Without such a history, give the position of the view.
func (v View) CheckDelegation(id domain.DelegationID, basis eventstore.Position) Verdict {
	r := v.index
	if r == nil {
		return NotLoaded
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.synced {
		return NotLoaded
	}
	return r.checkChain(id, basis)
}

// checkChain goes up from a link to the root. A link that is not known has
// expired or never was. The caller holds r.mu.
func (r *Index) checkChain(id domain.DelegationID, basis eventstore.Position) Verdict {
	now := r.options.Now()
	for range domain.MaxDelegationDepth + 1 {
		l, known := r.delegations[id]
		if !known || l.Revoked || !now.Before(l.ExpiresAt) || l.endedWith(r.credentials[l.Credential]) {
			return DelegationEnded
		}
		if ended := max(r.organizations[l.Organization].Lent, r.agents[l.Delegator].Lent, r.agents[l.Delegatee].Lent); ended > l.Made {
			return DelegationEnded
		}
		for _, agent := range [...]domain.AgentID{l.Delegator, l.Delegatee} {
			if verdict := r.checkOwner(l.Organization, agent, basis, basis); verdict != Alive {
				return verdict
			}
		}
		if id = l.Parent; id.IsZero() {
			return Alive
		}
	}
	return DelegationEnded
}

// addLink takes a delegation that was made, unless it has expired. The caller
// holds r.mu.
func (r *Index) addLink(made domain.DelegationCreated, at eventstore.Position) {
	if !r.options.Now().Before(made.ExpiresAt) {
		return
	}
	l := link{
		Delegator: made.DelegatorID, Delegatee: made.DelegateeID, Organization: made.OrganizationID,
		ExpiresAt: made.ExpiresAt, Made: at, Seen: made.CredentialRevision,
	}
	if made.ParentID != nil {
		l.Parent = *made.ParentID
	}
	if made.CredentialID != nil {
		l.Credential = *made.CredentialID
	}
	r.delegations[made.DelegationID] = l
}

// endLink ends a delegation, where it has not expired. The caller holds r.mu.
func (r *Index) endLink(id domain.DelegationID) {
	if l, known := r.delegations[id]; known {
		l.Revoked = true
		r.delegations[id] = l
	}
}
