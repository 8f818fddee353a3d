package domain

// Caller is who sends a command, as far as the rules care. What it may do is
// taken from a verified token, never from a body or a query; what it is comes
// from the ledger. authority.go has the rules.
type Caller struct {
	AgentID        AgentID
	OrganizationID OrganizationID
	Scopes         Scopes
	CredentialID   CredentialID // that the token was issued under
	Delegation     DelegationID // that the token acts under; zero when it is the agent's own

	// Standing is what the ledger knows of the caller now. Where nobody looked it
	// up, the caller is neither an agent itself nor an admin of anything.
	Standing Standing
}

// Standing is what the ledger knows of a caller: who it is, as against what its
// token was given.
type Standing struct {
	Agent        Agent        // the caller's own
	Organization Organization // that the caller's agent belongs to
}

// IsDelegated reports whether the caller acts with what another agent has
// lent it: then the scopes are all it has. What the agent may do for what it
// is (itself, an admin of its organization) was not lent.
func (c Caller) IsDelegated() bool { return !c.Delegation.IsZero() }

// IsOperator reports whether the caller runs the platform and may act in any
// organization by naming it.
func (c Caller) IsOperator() bool { return c.Scopes.Has(ScopeAdminOrgs) }

// MayActIn refuses callers who name an organization that is not their own, the
// same way whether or not it exists.
func (c Caller) MayActIn(organization OrganizationID) error {
	if c.OrganizationID == organization || c.IsOperator() {
		return nil
	}
	return Refuse(CodeCrossTenant, "this is not your organization: without %s you can act in your own only", ScopeAdminOrgs)
}

// MayReach refuses what is not in the caller's organization, and what is
// nowhere. Callers who are not operators learn nothing of which it is: what is a
// word for the kind of thing, missing the code for operators.
func (c Caller) MayReach(exists bool, organization OrganizationID, what string, missing Code) error {
	switch {
	case exists && (c.OrganizationID == organization || c.IsOperator()):
		return nil
	case c.IsOperator():
		return Refuse(missing, "there is no such %s", what)
	}
	return Refuse(CodeCrossTenant, "there is no such %s in your organization", what)
}
