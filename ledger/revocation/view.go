package revocation

import (
	"context"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// ErrStale: the index of revocations could not be compared with the ledger.
var ErrStale = errors.New("the revocation index could not be brought up to date")

// View is what an [Index] knows, seen by one who asked at a moment: it has seen
// everything up to its position, and goes on seeing what comes. The zero View
// vouches for nothing.
type View struct {
	index    *Index
	position eventstore.Position
}

// Sync gives a view of everything that was committed anywhere before the call.
// The error matches [ErrStale], or is the context's: then nothing is known, and
// the caller must refuse. Callers share reads of the ledger.
func (r *Index) Sync(ctx context.Context) (View, error) {
	if err := r.group.join(ctx); err != nil {
		return View{}, err
	}
	return r.Latest(), nil
}

// Latest gives a view of what has been read so far. It asks nobody, and may be
// behind the ledger: it is for those who are not the first in their request to
// ask, and for those who may be late.
func (r *Index) Latest() View { return View{index: r, position: r.Position()} }

// Position is up to where the view has seen everything.
func (v View) Position() eventstore.Position { return v.position }

// Token is what the claims of a verified token say.
type Token struct {
	TokenID        domain.TokenID
	AgentID        domain.AgentID
	CredentialID   domain.CredentialID // zero where the token does not tell
	OrganizationID domain.OrganizationID
	KeyID          string // of the key that signed it
	ExpiresAt      time.Time
	// Position is that of its token.issued event. Its issuer knew of everything
	// before that on the stream that it is on: the agent's own, where there is no
	// delegation.
	Position eventstore.Position
	// Basis is up to where its issuer knew the whole ledger. What ends tokens and
	// is on another stream may have been recorded between the basis and the
	// position: it ends the token.
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
	DelegationEnded      Verdict = "delegation_ended"  // revoked, expired or unknown, it or one above it
	SigningKeyEnded      Verdict = "signing_key_ended" // with all that it had signed
	// BeyondLedger: the token names a place in the ledger that this one has not
	// reached. It was issued by a ledger that has been lost since, to a backup that
	// was restored, or by another one.
	BeyondLedger Verdict = "beyond_ledger"
	NotLoaded    Verdict = "index_not_loaded" // the ledger has not been read yet
)

// Check judges a token by what is known. It does not verify the token. A view
// that was asked for when the token was there has reached all that the token
// knew; to an older one, a token that is milliseconds old may be [BeyondLedger].
func (v View) Check(token Token) Verdict {
	r := v.index
	if r == nil {
		return NotLoaded
	}
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
	_, disowned := r.signingKeys[token.KeyID]
	switch {
	case disowned:
		return SigningKeyEnded
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
func (r *Index) checkOwner(
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

// AgentUnchanged reports whether the view has seen nothing since a position that
// ends tokens of an agent, such as a suspension or a loss of scopes. What was
// recorded before that may be forgotten by now, unless a delegation lives that the
// agent has a part in and that is older.
func (v View) AgentUnchanged(id domain.AgentID, since eventstore.Position) bool {
	r := v.index
	if r == nil {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.synced && r.agents[id].Cut <= since
}
