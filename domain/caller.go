package domain

// Caller is who sends a command, as far as the rules care: taken from a
// verified token, never from a body or a query.
type Caller struct {
	AgentID        AgentID
	OrganizationID OrganizationID
	Scopes         Scopes
}

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
