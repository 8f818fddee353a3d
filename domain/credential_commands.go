package domain

import (
	"encoding/json"
	"slices"
	"time"
)

// MaxActiveCredentials bounds how many active credentials an agent may have:
// enough to rotate without downtime, few enough to keep authentication cheap.
const MaxActiveCredentials = 20

// MaxCredentials bounds how many credentials an agent may ever have, ended ones
// included: each stays in its history for good.
const MaxCredentials = 1000

// GenerateCredential gives an agent a new credential: of a client secret
// (Verifier) or of a public key (PublicKey), not both. Repeated after a crash
// with the same CredentialID it rotates what the first try made: whoever
// repeats it has not seen the first secret. See [RotateCredential] for Since.
type GenerateCredential struct {
	Caller       Caller
	CredentialID CredentialID
	Verifier     *Verifier
	PublicKey    json.RawMessage // a JWK, checked by the caller of the command
	ExpiresAt    *time.Time
	At           time.Time
	Since        time.Time
}

func (c GenerateCredential) decide(a Agent) ([]Event, error) {
	if err := a.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if err := a.mayBeOpenedBy(c.Caller); err != nil {
		return nil, err
	}
	if a.Status == AgentIsSuspended {
		return nil, Refuse(CodeAgentSuspended, "the agent is suspended; reactivate it first")
	}
	if err := validateExpiry(c.ExpiresAt, c.At); err != nil {
		return nil, err
	}
	if _, repeated := a.Credential(c.CredentialID); repeated {
		return RotateCredential{
			Caller: c.Caller, CredentialID: c.CredentialID, Verifier: c.Verifier, PublicKey: c.PublicKey,
			ExpiresAt: c.ExpiresAt, At: c.At, Since: c.Since,
		}.decide(a)
	}
	if err := a.hasRoom(c.At); err != nil {
		return nil, err
	}
	key, err := validateMeans(c.Verifier, c.PublicKey)
	if err != nil {
		return nil, err
	}
	kind := SecretCredential
	if key != nil {
		kind = KeyCredential
	}
	return []Event{CredentialGenerated{
		AgentID: a.ID, CredentialID: c.CredentialID, Kind: kind,
		Verifier: c.Verifier, PublicKey: key, ExpiresAt: storedExpiry(c.ExpiresAt), Era: a.Era,
	}}, nil
}

// hasRoom refuses one more active credential when there are enough.
func (a Agent) hasRoom(at time.Time) error {
	if len(a.Credentials) >= MaxCredentials {
		return Invalid("credentials", "have been as many as an agent may ever have; rotate one that is there, or register another agent", MaxCredentials)
	}
	return a.hasRoomToRevive(at)
}

// hasRoomToRevive is hasRoom for a credential that is among them already.
func (a Agent) hasRoomToRevive(at time.Time) error {
	if a.activeCredentials(at) >= MaxActiveCredentials {
		return Invalid("credentials", "are too many; revoke one first", MaxActiveCredentials)
	}
	return nil
}

func (a Agent) activeCredentials(at time.Time) int {
	n := 0
	for _, credential := range a.Credentials {
		if credential.UsableAt(at) {
			n++
		}
	}
	return n
}

// RotateCredential replaces the secret or key of a credential. A zero
// CredentialID means the newest usable one.
//
// Since, where it is not zero, is from when on the command may have been
// repeated because it was taken for dead. It replaces nothing that is newer: that
// is what its repetition made, and has been handed out.
type RotateCredential struct {
	Caller       Caller
	CredentialID CredentialID
	Verifier     *Verifier
	PublicKey    json.RawMessage
	ExpiresAt    *time.Time
	At           time.Time
	Since        time.Time
	// KeepDelegations lets the delegations made with the credential live on. They
	// end otherwise: who rotates a leaked credential wants nothing of the thief's left.
	KeepDelegations bool
}

func (c RotateCredential) decide(a Agent) ([]Event, error) {
	if err := a.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if err := a.mayBeOpenedBy(c.Caller); err != nil {
		return nil, err
	}
	if err := validateExpiry(c.ExpiresAt, c.At); err != nil {
		return nil, err
	}
	credential, found := c.target(a)
	if !found && c.CredentialID.IsZero() {
		return nil, Refuse(CodeCredentialNotFound, "the agent has no usable credential; generate one")
	}
	if !found {
		return nil, noSuchCredential(c.Caller)
	}
	if credential.Status == CredentialIsRevoked {
		return nil, Refuse(CodeCredentialAlreadyRevoked, "the credential is revoked; generate a new one")
	}
	if !c.Since.IsZero() && (credential.CreatedAt.After(c.Since) || credential.RotatedAt.After(c.Since)) {
		return nil, Refuse(CodeUnavailable, "the credential was made or rotated meanwhile; send this again if it has to be replaced once more")
	}
	if !credential.UsableAt(c.At) { // it comes back from expiry
		if err := a.hasRoomToRevive(c.At); err != nil {
			return nil, err
		}
	}
	if (credential.Kind == KeyCredential) != (len(c.PublicKey) > 0) {
		return nil, Invalid("publicKeyJwk", "is needed to rotate a key, and only then", nil)
	}
	key, err := validateMeans(c.Verifier, c.PublicKey)
	if err != nil {
		return nil, err
	}
	return []Event{CredentialRotated{
		AgentID: a.ID, CredentialID: credential.ID,
		Verifier: c.Verifier, PublicKey: key, ExpiresAt: storedExpiry(c.ExpiresAt), DelegationsKept: c.KeepDelegations,
	}}, nil
}

func (c RotateCredential) target(a Agent) (Credential, bool) {
	if !c.CredentialID.IsZero() {
		return a.Credential(c.CredentialID)
	}
	for _, credential := range slices.Backward(a.Credentials) {
		if credential.UsableAt(c.At) {
			return credential, true
		}
	}
	return Credential{}, false
}

// noSuchCredential is the answer to a credential that the agent does not have,
// whether another agent has it or nobody.
func noSuchCredential(caller Caller) error {
	return caller.MayReach(false, OrganizationID{}, "credential of this agent", CodeCredentialNotFound)
}

// RevokeCredential ends a credential, every token issued under it and every
// delegation made with it.
type RevokeCredential struct {
	Caller       Caller
	CredentialID CredentialID
	Reason       string // at most 256 characters
}

func (c RevokeCredential) decide(a Agent) ([]Event, error) {
	if err := validateLine("reason", c.Reason, 0, maxReasonLength); err != nil {
		return nil, err
	}
	if err := a.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if err := a.mayBeWeakenedBy(c.Caller); err != nil {
		return nil, err
	}
	credential, found := a.Credential(c.CredentialID)
	if !found {
		return nil, noSuchCredential(c.Caller)
	}
	if credential.Status == CredentialIsRevoked {
		return nil, Refuse(CodeCredentialAlreadyRevoked, "the credential is revoked already")
	}
	return []Event{CredentialRevoked{AgentID: a.ID, CredentialID: credential.ID, Reason: c.Reason}}, nil
}

// ExpireCredentials puts on record which of the agent's credentials have
// expired by then, each of them once. Where there is none, or no such agent,
// nothing happens.
type ExpireCredentials struct{ At time.Time }

func (c ExpireCredentials) decide(a Agent) ([]Event, error) {
	var events []Event
	for _, credential := range a.Credentials {
		if credential.Status == CredentialActive && !credential.UsableAt(c.At) {
			events = append(events, CredentialExpired{AgentID: a.ID, CredentialID: credential.ID, ExpiredAt: credential.ExpiresAt})
		}
	}
	return events, nil
}

// validateMeans checks that there is exactly one way to authenticate: without
// it a rotation would leave the old secret alive. The key comes back in the
// form that the ledger gives back, since keys are compared byte by byte.
func validateMeans(verifier *Verifier, key json.RawMessage) (json.RawMessage, error) {
	if (verifier != nil) == (len(key) > 0) {
		return nil, Invalid("credential", "needs either a client secret or a public key", nil)
	}
	if verifier != nil {
		if len(verifier.MAC) == 0 {
			return nil, Invalid("credential", "needs a client secret that is not empty", nil)
		}
		return nil, nil
	}
	stored, err := json.Marshal(key)
	if err != nil {
		return nil, Invalid("publicKeyJwk", "must be a JSON Web Key", nil)
	}
	return stored, nil
}

func validateExpiry(expiresAt *time.Time, now time.Time) error {
	const lastYear = 9999 // that RFC 3339 can write
	if expiresAt != nil && (!expiresAt.After(now) || expiresAt.UTC().Year() > lastYear) {
		return Invalid("expiresAt", "must be in the future, before the year 10000", now)
	}
	return nil
}

func storedExpiry(expiresAt *time.Time) *time.Time {
	if expiresAt == nil {
		return nil
	}
	at := asStored(*expiresAt)
	return &at
}

// asStored is a time as the ledger gives it back: UTC, to the microsecond.
func asStored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
