package projections

import (
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// TokenRef is what the claims of a verified token say.
type TokenRef struct {
	TokenID        domain.TokenID
	AgentID        domain.AgentID
	CredentialID   domain.CredentialID // zero where the token does not tell
	OrganizationID domain.OrganizationID
	ExpiresAt      time.Time
	// Position is that of its token.issued event. Who issued it knew of everything
	// before that on the stream that it is on: the agent's own, where there is no
	// delegation.
	Position eventstore.Position
	// Basis is up to where whoever issued it knew the whole ledger. What ends
	// tokens and is on another stream may have been recorded between the basis and
	// the position: it ends the token.
	Basis eventstore.Position
	// Delegation is what the token acts under, zero when it is the agent's own.
	Delegation domain.DelegationID
}

// Verdict says what is wrong with a token, nothing when it is [Alive].
type Verdict string

const (
	Alive                Verdict = ""
	TokenExpired         Verdict = "token_expired"
	TokenRevoked         Verdict = "token_revoked"
	CredentialChanged    Verdict = "credential_changed" // rotated or revoked since
	AgentChanged         Verdict = "agent_changed"      // suspended or with fewer scopes since
	AgentInactive        Verdict = "agent_inactive"
	OrganizationChanged  Verdict = "organization_changed" // suspended since
	OrganizationInactive Verdict = "organization_inactive"
	DelegationEnded      Verdict = "delegation_ended" // revoked, expired or unknown, it or one above it
	// BeyondLedger: the token names a place in the ledger that this one has not
	// reached. It was issued by a ledger that has been lost since, to a backup that
	// was restored, or by another one.
	BeyondLedger Verdict = "beyond_ledger"
	NotLoaded    Verdict = "index_not_loaded" // the ledger has not been read yet
)

// Check judges a token by what is known. It does not verify the token. A Sync
// that was called when the token was there has reached all that the token knew;
// without one, a token that is milliseconds old may be [BeyondLedger].
func (r *Revocations) Check(token TokenRef) Verdict {
	if !r.options.Now().Before(token.ExpiresAt) {
		return TokenExpired // also what makes it safe to forget
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.synced {
		return NotLoaded
	}
	if token.Position > r.applied || token.Basis > r.applied {
		return BeyondLedger
	}
	known := token.Position // of the agent and its credential
	if !token.Delegation.IsZero() {
		known = token.Basis
	}
	if verdict := r.checkOwner(token.OrganizationID, token.AgentID, token.Basis, known); verdict != Alive {
		return verdict
	}
	credential := r.credentials[token.CredentialID]
	_, revoked := r.tokens[token.TokenID]
	switch {
	case credential.Dead || credential.Cut > known:
		return CredentialChanged
	case revoked:
		return TokenRevoked
	case !token.Delegation.IsZero():
		return r.checkChain(token.Delegation, token.Basis)
	}
	return Alive
}

// checkOwner judges an agent and its organization: both must be active, and
// nothing may have cut their tokens after the position up to which each was
// known. The caller holds r.mu.
func (r *Revocations) checkOwner(
	organizationID domain.OrganizationID, agentID domain.AgentID, organizationKnown, agentKnown eventstore.Position,
) Verdict {
	organization, agent := r.organizations[organizationID], r.agents[agentID]
	switch {
	case organization.Dead:
		return OrganizationInactive
	case agent.Dead:
		return AgentInactive
	case organization.Cut > organizationKnown:
		return OrganizationChanged
	case agent.Cut > agentKnown:
		return AgentChanged
	}
	return Alive
}

// OrganizationActive reports whether an organization is neither suspended nor
// deleted, as far as is known.
func (r *Revocations) OrganizationActive(id domain.OrganizationID) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.synced && !r.organizations[id].Dead
}
