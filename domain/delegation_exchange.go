package domain

import (
	"cmp"
	"time"
)

// ActorToken is the method of who authenticated not with a credential but with
// an access token of its own, as the actor of a token exchange (RFC 8693).
const ActorToken CredentialKind = "actor_token"

// ExchangeDelegation records that the delegatee is about to be handed a token
// that acts for the delegator (RFC 8693). The decision holds for exactly the
// state of the delegation it is made on: a revocation that commits first makes
// the append fail. Whether the links above are alive, and both agents active,
// is for whoever sends the command to know, and to know again at each use of
// the token.
type ExchangeDelegation struct {
	Actor        Caller         // who presents the delegation, by a token of its own
	CredentialID CredentialID   // that the actor's token was issued under, or that it authenticated with
	AuthMethod   CredentialKind // [ActorToken] where it is left out
	Subject      Agent          // the delegator at the root of the chain, as the ledger knows it now
	TokenID      TokenID
	Scopes       Scopes // wanted; nil means all that are to be had
	Audience     string
	Algorithm    string
	KeyID        string
	At           time.Time
}

// decide refuses with one and the same error whatever is wrong with the
// delegation: who holds a token that is not for it learns nothing.
func (c ExchangeDelegation) decide(d Delegation) ([]Event, error) {
	expiresAt := c.expiresAt(d)
	if !d.usableAt(c.At) || d.DelegateeID != c.Actor.AgentID || d.OrganizationID != c.Actor.OrganizationID ||
		c.Actor.IsDelegated() || c.Subject.Status != AgentActive || !expiresAt.After(c.At) {
		return nil, RefuseExchange()
	}
	available := d.Scopes.Within(c.Subject.Scopes)
	scopes := c.Scopes
	if scopes == nil {
		scopes = available
	}
	if beyond := scopes.Beyond(available); len(beyond) > 0 || len(scopes) == 0 {
		return nil, Refuse(CodeScopeNotAllowed, "the delegation does not give these scopes, or the delegator lost them: %s", beyond).
			With("field", "scope").With("requested", scopes).With("available", available)
	}
	return []Event{TokenIssued{
		AgentID: c.Actor.AgentID, TokenID: c.TokenID, CredentialID: c.CredentialID, AuthMethod: cmp.Or(c.AuthMethod, ActorToken),
		Scope: scopes.String(), Audience: c.Audience, Algorithm: c.Algorithm, KeyID: c.KeyID,
		ExpiresAt: expiresAt, Delegation: &d.ID, Subject: &c.Subject.ID,
	}}, nil
}

// expiresAt is in whole seconds, as tokens tell it, and never after the
// delegation's own end.
func (c ExchangeDelegation) expiresAt(d Delegation) time.Time {
	end := c.At.Add(TokenLifetime)
	if d.ExpiresAt.Before(end) {
		end = d.ExpiresAt
	}
	return asStored(end).Truncate(time.Second)
}

// RefuseExchange is the one answer to a delegation token that is forged,
// expired, revoked, somebody else's, or of agents that are not active.
func RefuseExchange() *Error {
	return Refuse(CodeValidation, "subject_token is not a valid delegation to this actor").With("field", "subject_token")
}
