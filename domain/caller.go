package domain

// Caller is who sends a command, as far as the rules care: taken from a
// verified token, never from a body or a query.
type Caller struct {
	AgentID        AgentID
	OrganizationID OrganizationID
	Scopes         Scopes
	Delegation     DelegationID // that the token acts under; zero when it is the agent's own
}

// IsDelegated reports whether the caller acts with what another agent has
// lent it: then the scopes are all it has. What the agent may do for what it
// is (itself, an admin of its organization) was not lent.
func (c Caller) IsDelegated() bool { return !c.Delegation.IsZero() }

// IsOperator reports whether the caller runs the platform and may act in any
// organization by naming it.
func (c Caller) IsOperator() bool { return c.Scopes.Has(ScopeAdminOrgs) }

// MayActIn refuses callers from another organization.
func (c Caller) MayActIn(organization OrganizationID) error {
	if c.OrganizationID == organization || c.IsOperator() {
		return nil
	}
	return Refuse(CodeCrossTenant, "this belongs to another organization")
}

// MayGrant refuses scopes that the caller does not hold: nobody lends what is
// not theirs.
func (c Caller) MayGrant(scopes Scopes) error {
	if beyond := scopes.Beyond(c.Scopes); len(beyond) > 0 {
		return Refuse(CodeScopeNotAllowed, "you cannot grant scopes that your own token does not hold: %s", beyond).
			With("field", "scopes").With("requested", scopes).With("available", c.Scopes)
	}
	return nil
}
