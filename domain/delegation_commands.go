package domain

import "time"

// CreateDelegation lends a part of the caller's authority to another agent of
// its organization. A caller that acts with lent authority lends that on: the
// new link then stands below the one it acts under, and is no wider, no longer
// and no deeper than that one allows. [ScopeAdminOrgs] is never lent.
type CreateDelegation struct {
	Caller       Caller
	DelegationID DelegationID
	Parent       Delegation // that the caller acts under; zero when under none
	Delegator    Agent      // the caller's agent, as the ledger knows it now
	Revision     int64      // of the delegator's stream, at which it is that
	DelegateeID  AgentID
	Delegatee    Agent // as the ledger knows it now
	Scopes       Scopes
	TTLSeconds   int // [MinDelegationTTL] to [MaxDelegationTTL]
	MaxDepth     int // how many links may follow below this one, 0 to [MaxDelegationDepth]
	At           time.Time
}

// Validate checks what can be checked without any state.
func (c CreateDelegation) Validate() error {
	if c.TTLSeconds < MinDelegationTTL || c.TTLSeconds > MaxDelegationTTL {
		return Invalid("ttlSeconds", "is out of bounds", map[string]int{"minimum": MinDelegationTTL, "maximum": MaxDelegationTTL})
	}
	if c.MaxDepth < 0 || c.MaxDepth > MaxDelegationDepth {
		return Invalid("maxDepth", "is out of bounds", map[string]int{"minimum": 0, "maximum": MaxDelegationDepth})
	}
	if len(c.Scopes) == 0 {
		return Invalid("scopes", "must name at least one scope", map[string]int{"minimum": 1})
	}
	if err := c.Scopes.normalized().validate("scopes"); err != nil {
		return err
	}
	if c.DelegateeID == c.Caller.AgentID {
		return Invalid("delegateeAgentId", "must be another agent than the delegator", nil)
	}
	return nil
}

func (c CreateDelegation) decide(d Delegation) ([]Event, error) {
	if d.Exists() && d.DelegatorID == c.Caller.AgentID && d.DelegateeID == c.DelegateeID {
		return nil, nil // this very command, repeated after a crash
	}
	if d.Exists() {
		return nil, Refuse(CodeConflict, "this delegation was made already")
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := c.checkAgents(); err != nil {
		return nil, err
	}
	if err := c.checkScopes(); err != nil {
		return nil, err
	}
	created := DelegationCreated{
		DelegationID: c.DelegationID, OrganizationID: c.Caller.OrganizationID,
		DelegatorID: c.Caller.AgentID, DelegateeID: c.DelegateeID,
		Scopes: c.Scopes.normalized(), TTLSeconds: c.TTLSeconds, ExpiresAt: c.expiresAt(), MaxDepth: c.MaxDepth,
	}
	if !c.Caller.CredentialID.IsZero() {
		created.CredentialID, created.CredentialRevision = &c.Caller.CredentialID, c.Revision
	}
	if c.Caller.IsDelegated() {
		if err := c.checkParent(); err != nil {
			return nil, err
		}
		created.ParentID, created.Depth = &c.Parent.ID, c.Parent.Depth+1
	}
	return []Event{created}, nil
}

func (c CreateDelegation) expiresAt() time.Time {
	return asStored(c.At.Add(time.Duration(c.TTLSeconds) * time.Second))
}

func (c CreateDelegation) checkAgents() error {
	if !c.Delegatee.Exists() && c.Caller.IsOperator() {
		return Refuse(CodeAgentNotFound, "there is no such agent").With("field", "delegateeAgentId")
	}
	if !c.Delegatee.Exists() || c.Delegatee.OrganizationID != c.Caller.OrganizationID {
		return Refuse(CodeCrossTenantDelegation, "the delegatee is no agent of your organization").With("field", "delegateeAgentId")
	}
	if err := c.Delegatee.mustBeActive("delegateeAgentId"); err != nil {
		return err
	}
	return c.Delegator.mustBeActive("")
}

// mustBeActive refuses an agent that can neither lend nor be lent anything.
func (a Agent) mustBeActive(field string) error {
	refusal := Refuse(CodeAgentDecommissioned, "the agent %s is decommissioned; that is final", a.ID)
	switch a.Status {
	case AgentActive:
		return nil
	case AgentIsSuspended:
		refusal = Refuse(CodeAgentSuspended, "the agent %s is suspended", a.ID)
	}
	if field != "" {
		refusal = refusal.With("field", field)
	}
	return refusal
}

// checkScopes holds the wish to what the caller's own token has. A token got by
// exchange has what every link above it allows, or less.
func (c CreateDelegation) checkScopes() error {
	wanted := c.Scopes.normalized()
	if beyond := wanted.Beyond(c.Caller.Scopes); len(beyond) > 0 {
		return Refuse(CodeScopeExceedsDelegator, "you cannot lend scopes that your own token does not hold: %s", beyond).
			With("field", "scopes").With("requested", wanted).With("available", c.Caller.Scopes)
	}
	if wanted.Has(ScopeAdminOrgs) {
		return Refuse(CodeScopeNotAllowed, "the scope %s is never lent", ScopeAdminOrgs).With("field", "scopes")
	}
	return nil
}

func (c CreateDelegation) checkParent() error {
	p := c.Parent
	if p.ID != c.Caller.Delegation || p.DelegateeID != c.Caller.AgentID || !p.usableAt(c.At) || len(c.Scopes.normalized().Beyond(p.Scopes)) > 0 {
		return Refuse(CodeUnauthorized, "the delegation that your token acts under has ended")
	}
	if p.MaxDepth == 0 {
		return Refuse(CodeCrossTenant, "what your token acts with was lent to you alone: you cannot lend it on").With("maxDepth", 0)
	}
	if c.MaxDepth >= p.MaxDepth {
		return Invalid("maxDepth", "is more than the delegation allows that your token acts under", map[string]int{"minimum": 0, "maximum": p.MaxDepth - 1})
	}
	if c.expiresAt().After(p.ExpiresAt) {
		return Invalid("ttlSeconds", "reaches beyond the delegation that your token acts under",
			map[string]int{"minimum": MinDelegationTTL, "maximum": int(p.ExpiresAt.Sub(c.At) / time.Second)})
	}
	return nil
}

// RevokeDelegation ends a delegation, those made below it, and every token
// issued under any of them. The delegator may, as well as an admin of its
// organization and the operator. Ending it again changes nothing.
type RevokeDelegation struct {
	Caller Caller
	Reason string // at most 256 characters
}

func (c RevokeDelegation) decide(d Delegation) ([]Event, error) {
	if err := validateLine("reason", c.Reason, 0, maxReasonLength); err != nil {
		return nil, err
	}
	if err := c.Caller.MayReach(d.Exists(), d.OrganizationID, "delegation", CodeDelegationNotFound); err != nil {
		return nil, err
	}
	if !c.mayRevoke(d) {
		return nil, c.Caller.becauseOfRole(c.Caller.Standing.Organization, Refuse(CodeCrossTenant,
			"only the delegator, the operator or an admin of its organization can revoke this; an admin needs a token with all scopes of its agent"))
	}
	if !d.RevokedAt.IsZero() {
		return nil, nil
	}
	return []Event{DelegationRevoked{
		DelegationID: d.ID, DelegatorID: d.DelegatorID, RevokedBy: c.Caller.AgentID, Reason: c.Reason,
	}}, nil
}

// mayRevoke: with lent authority an agent revokes what it has lent on of that,
// and nothing else. With any token of its own it revokes all that it has lent,
// since that gives nothing to anybody.
func (c RevokeDelegation) mayRevoke(d Delegation) bool {
	isDelegator := c.Caller.AgentID == d.DelegatorID
	if c.Caller.IsDelegated() {
		return isDelegator && d.ParentID == c.Caller.Delegation
	}
	return isDelegator || c.Caller.rules(d.OrganizationID)
}
