package domain

import (
	"bytes"
	"encoding/json"
	"time"
)

// TokenLifetime is how long an access token lives.
const TokenLifetime = time.Hour

// TokenIssued is stored as "token.issued", schema 1. No token leaves the
// server before this event is durable. Delegation and Subject are those of a
// token got by exchange: what it acts under and for whom.
type TokenIssued struct {
	AgentID      AgentID        `json:"agentId"` // who holds the token
	TokenID      TokenID        `json:"jti"`
	CredentialID CredentialID   `json:"credentialId"`
	AuthMethod   CredentialKind `json:"authMethod"`
	Scope        string         `json:"scope"`
	Audience     string         `json:"audience"`
	Algorithm    string         `json:"alg"`
	KeyID        string         `json:"kid"`
	ExpiresAt    time.Time      `json:"expiresAt"`
	Delegation   *DelegationID  `json:"delegation,omitempty"`
	Subject      *AgentID       `json:"subject,omitempty"`
}

// TokenRevoked is stored as "token.revoked", schema 1.
type TokenRevoked struct {
	AgentID   AgentID   `json:"agentId"`
	TokenID   TokenID   `json:"jti"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// AuthFailed is stored as "auth.failed", schema 1, in a stream of its own so
// that an attacker never writes to the victim's. ClientID is as presented, cut
// to 64 characters. Suppressed counts the failures of the same kind that were
// not recorded since the last one that was.
type AuthFailed struct {
	ClientID   string     `json:"clientId"`
	Reason     AuthReason `json:"reason"`
	Suppressed int        `json:"suppressed,omitempty"`
	// Addresses are some of those that the suppressed failures came from, each
	// once, as far as they are known.
	Addresses []string `json:"addresses,omitempty"`
}

func (TokenIssued) EventType() Type  { return "token.issued" }
func (TokenRevoked) EventType() Type { return "token.revoked" }
func (AuthFailed) EventType() Type   { return "auth.failed" }

// AuthReason says why an authentication failed. It goes into the ledger, not
// to whoever tried.
type AuthReason string

const (
	AuthUnknownClient        AuthReason = "unknown_client"
	AuthWrongSecret          AuthReason = "wrong_secret"
	AuthBadAssertion         AuthReason = "bad_assertion"
	AuthReplayedAssertion    AuthReason = "replayed_assertion"
	AuthCredentialExpired    AuthReason = "credential_expired"
	AuthCredentialRevoked    AuthReason = "credential_revoked"
	AuthAgentSuspended       AuthReason = "agent_suspended"
	AuthAgentDecommissioned  AuthReason = "agent_decommissioned"
	AuthOrganizationInactive AuthReason = "organization_inactive"
)

// AuthError is a failed client authentication.
type AuthError struct{ Reason AuthReason }

func (e *AuthError) Error() string { return "client authentication failed: " + string(e.Reason) }

// Proof is what a client authenticated with: a secret, seen under every key
// it may be kept under, or a key that has verified the client's assertion.
type Proof struct {
	Secret       []Verifier
	CredentialID CredentialID    // of the key
	PublicKey    json.RawMessage // the key as it was when it verified
}

// Authenticate finds the credential that the proof is for, or says by an
// [*AuthError] why there is none.
func (a Agent) Authenticate(proof Proof, at time.Time) (Credential, error) {
	if !a.Exists() {
		return Credential{}, &AuthError{AuthUnknownClient}
	}
	credential, found := a.proven(proof, at)
	if !found {
		return Credential{}, &AuthError{AuthWrongSecret}
	}
	if err := a.Admits(credential, at); err != nil {
		return Credential{}, err
	}
	return credential, nil
}

// Admits says by an [*AuthError] why a credential of the agent, once proven,
// does not get it in at that time; nil when it does.
func (a Agent) Admits(credential Credential, at time.Time) error {
	switch {
	case a.Status == AgentIsSuspended:
		return &AuthError{AuthAgentSuspended}
	case a.Status == AgentIsGone:
		return &AuthError{AuthAgentDecommissioned}
	case credential.Status == CredentialIsRevoked:
		return &AuthError{AuthCredentialRevoked}
	case !credential.UsableAt(at):
		return &AuthError{AuthCredentialExpired}
	}
	return nil
}

// proven prefers a usable credential, so that one secret shared by mistake
// between a dead and a living credential still works.
func (a Agent) proven(proof Proof, at time.Time) (match Credential, found bool) {
	for _, c := range a.Credentials {
		if !c.provenBy(proof) {
			continue
		}
		if c.UsableAt(at) {
			return c, true
		}
		match, found = c, true
	}
	return match, found
}

func (c Credential) provenBy(proof Proof) bool {
	if c.Kind == KeyCredential {
		return c.ID == proof.CredentialID && len(c.PublicKey) > 0 && bytes.Equal(c.PublicKey, proof.PublicKey)
	}
	return c.matches(proof.Secret)
}

// IssueToken records that a token is about to be handed out. The decision
// holds for exactly the state it is made on: a revocation that commits first
// makes the append fail.
type IssueToken struct {
	Proof     Proof
	TokenID   TokenID
	Scopes    Scopes // wanted; nil means all allowed ones but admin:orgs
	Audience  string
	Algorithm string
	KeyID     string
	At        time.Time
}

func (c IssueToken) decide(a Agent) ([]Event, error) {
	credential, err := a.Authenticate(c.Proof, c.At)
	if err != nil {
		return nil, err
	}
	scopes, err := grantable(c.Scopes, a.Scopes)
	if err != nil {
		return nil, err
	}
	return []Event{TokenIssued{
		AgentID: a.ID, TokenID: c.TokenID, CredentialID: credential.ID, AuthMethod: credential.Kind,
		Scope: scopes.String(), Audience: c.Audience, Algorithm: c.Algorithm, KeyID: c.KeyID,
		ExpiresAt: asStored(c.At.Truncate(time.Second).Add(TokenLifetime)), // in whole seconds, as tokens tell it
	}}, nil
}

// grantable are the scopes that a token gets of those that are wanted, nil for
// all, where some are to be had. Unasked it gets no [ScopeAdminOrgs]. Scopes that
// are not to be had are left out (RFC 6749 section 3.3). It is refused where none
// remain, and where one does not exist.
func grantable(wanted, available Scopes) (Scopes, error) {
	if wanted == nil {
		return available.Without(ScopeAdminOrgs), nil
	}
	if unknown := wanted.Beyond(AllScopes()); len(unknown) > 0 {
		return nil, Refuse(CodeScopeNotAllowed, "there are no such scopes: %s", unknown).
			With("field", "scope").With("requested", wanted).With("available", available)
	}
	scopes := wanted.Within(available)
	if len(scopes) == 0 && len(wanted) > 0 {
		return nil, Refuse(CodeScopeNotAllowed, "the agent is not allowed these scopes: %s", wanted).
			With("field", "scope").With("requested", wanted).With("available", available)
	}
	return scopes, nil
}

// RevokeToken ends one token (RFC 7009).
type RevokeToken struct {
	TokenID   TokenID
	ExpiresAt time.Time // of the token
}

func (c RevokeToken) decide(a Agent) ([]Event, error) {
	if !a.Exists() {
		return nil, Refuse(CodeAgentNotFound, "there is no such agent")
	}
	return []Event{TokenRevoked{AgentID: a.ID, TokenID: c.TokenID, ExpiresAt: asStored(c.ExpiresAt)}}, nil
}
