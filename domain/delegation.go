package domain

import "time"

// Bounds of a delegation.
const (
	MinDelegationTTL   = 60     // seconds
	MaxDelegationTTL   = 86_400 // seconds
	MaxDelegationDepth = 3      // links below the first
)

// Delegation is the aggregate of one delegation-<id> stream: a link by which
// one agent, the delegator, lends another, the delegatee, some of its scopes
// for a time. Where it allows that, the delegatee lends on what it was lent, by
// a link below this one; never more, never longer. The zero Delegation does not
// exist.
//
// Tokens got by exchange are events of this stream, so that none is issued on
// a link that was revoked before. What the links above, the two agents and the
// credential have come to is not known here: it ends tokens in use.
type Delegation struct {
	ID             DelegationID
	OrganizationID OrganizationID
	DelegatorID    AgentID
	DelegateeID    AgentID
	ParentID       DelegationID // the link above; zero at the root
	CredentialID   CredentialID // of the token it was made with; zero where that was not recorded
	Scopes         Scopes
	TTLSeconds     int
	MaxDepth       int // how many links may follow below this one
	Depth          int // how many are above it
	CreatedAt      time.Time
	ExpiresAt      time.Time
	RevokedAt      time.Time // zero when it is not

	// CredentialRevision is up to where the delegator's stream was known when the
	// credential was seen to stand; 0 where that was not recorded.
	CredentialRevision int64
}

// DelegationCommand is a command to one delegation.
type DelegationCommand interface {
	decide(Delegation) ([]Event, error)
}

// Decide says what the command leads to, or refuses with an [*Error].
func (d Delegation) Decide(cmd DelegationCommand) ([]Event, error) { return cmd.decide(d) }

// Exists reports whether the delegation was ever made.
func (d Delegation) Exists() bool { return !d.ID.IsZero() }

// IssuedAt is from when on it can be used.
func (d Delegation) IssuedAt() time.Time {
	return d.ExpiresAt.Add(-time.Duration(d.TTLSeconds) * time.Second)
}

// usableAt reports whether it is neither revoked nor expired.
func (d Delegation) usableAt(at time.Time) bool {
	return d.Exists() && d.RevokedAt.IsZero() && at.Before(d.ExpiresAt)
}

// EndsWith reports whether the end of its credential ends the delegation. The end
// is at a revision of the delegator's stream, and later says whether it stands
// after the delegation's own beginning in the ledger: where it does not, both were
// under way at the same time, and the delegation was made with a token that had
// just ended.
func (d Delegation) EndsWith(revision int64, later bool) bool {
	return later || d.CredentialRevision > 0 && revision > d.CredentialRevision
}

// Evolve applies an event of the delegation's stream, recorded at the given
// time. It takes the end of the delegation's credential as well, and of all access
// of its agents or its organization, which are on other streams: only who reads
// the whole ledger gives it those. The former counts where [Delegation.EndsWith]
// says so, the latter where it comes after the delegation in the ledger.
func (d Delegation) Evolve(e Event, at time.Time) Delegation {
	switch e := e.(type) {
	case DelegationCreated:
		d = Delegation{
			ID: e.DelegationID, OrganizationID: e.OrganizationID, DelegatorID: e.DelegatorID, DelegateeID: e.DelegateeID,
			Scopes: e.Scopes, TTLSeconds: e.TTLSeconds, MaxDepth: e.MaxDepth, Depth: e.Depth,
			CreatedAt: at, ExpiresAt: e.ExpiresAt, CredentialRevision: e.CredentialRevision,
		}
		set(&d.ParentID, e.ParentID)
		set(&d.CredentialID, e.CredentialID)
	case DelegationRevoked:
		if d.RevokedAt.IsZero() {
			d.RevokedAt = at
		}
	default:
		if d.usableAt(at) && d.restsOnWhatEnds(e) {
			d.RevokedAt = at
		}
	}
	return d
}

func (d Delegation) restsOnWhatEnds(e Event) bool {
	if ended := EndedWith(e); !ended.IsZero() {
		return ended == d.CredentialID
	}
	ending, about := EndingOf(e), About(e)
	if !ending.Delegations {
		return false
	}
	if ending.Tokens == OrganizationNoun {
		return about.Organization == d.OrganizationID
	}
	return about.Agent == d.DelegatorID || about.Agent == d.DelegateeID
}
