package domain

import (
	"errors"
	"fmt"
)

// The rule of granting: nothing that a token leads to may exceed the token.
//
// A token has some of its agent's scopes, for a time, and maybe from somebody
// else. Whatever lasts longer than the token (an agent, an allowed scope, a
// credential, a role) may hold no more than the token holds now, and a token that
// acts with lent authority makes nothing that lasts. What an agent may do for
// what it is, and not for its scopes, counts only for a token that stands for
// the whole agent.

// isOwn reports whether the token stands for the caller's own agent and for
// nobody else, at this API. A token that an agent got by any other way than its
// own credential is named here.
func (c Caller) isOwn() bool { return !c.IsDelegated() }

// IsWhole reports whether the token stands for all of the caller's agent: it is
// its own and carries each of its allowed scopes. Two do not count: admin:orgs is
// never given unasked, and openid permits nothing.
func (c Caller) IsWhole() bool {
	own := c.Standing.Agent
	allowed := own.Scopes.Without(ScopeAdminOrgs).Without(ScopeOpenID)
	return own.Exists() && own.ID == c.AgentID && c.isOwn() && len(allowed.Beyond(c.Scopes)) == 0
}

// IsAgent reports whether the caller counts as that agent itself.
func (c Caller) IsAgent(id AgentID) bool { return c.AgentID == id && c.IsWhole() }

// IsAdmin reports whether the caller counts as an admin member of its
// organization.
func (c Caller) IsAdmin() bool {
	own := c.Standing.Organization
	return own.Exists() && own.ID == c.OrganizationID && own.IsAdmin(c.AgentID) && c.IsWhole()
}

// Lacks is what the token would have to carry beyond its scopes to stand for the
// whole agent; empty where the agent was not looked up.
func (c Caller) Lacks() Scopes {
	return c.Standing.Agent.Scopes.Without(ScopeAdminOrgs).Without(ScopeOpenID).Beyond(c.Scopes)
}

// Because adds to a refusal why the caller does not count as its agent, or as an
// admin, and what to do: that it is the token and not the agent. Callers of it
// know that the whole agent would have been let in.
func (c Caller) Because(refusal *Error) *Error {
	explained := *refusal
	switch lacks := c.Lacks(); {
	case c.IsDelegated():
		explained.Message += "; your token acts with authority that another agent lent: use one that your agent gets by its own credential"
		return explained.With("token", "lent")
	case len(lacks) > 0:
		explained.Message += fmt.Sprintf("; your token was narrowed and lacks scopes of your agent (%s): ask for one that has them all", lacks)
		return explained.With("token", "narrowed").With("lacks", lacks)
	}
	return refusal
}

// becauseOfRole does the same where the role admin would have been enough.
func (c Caller) becauseOfRole(organization Organization, refusal *Error) *Error {
	if organization.ID != c.OrganizationID || !organization.IsAdmin(c.AgentID) {
		return refusal
	}
	return c.Because(refusal)
}

// rules reports whether the caller is the operator, or an admin member of the
// organization.
func (c Caller) rules(organization OrganizationID) bool {
	return c.IsOperator() || c.OrganizationID == organization && c.IsAdmin()
}

// MayGrant refuses to give scopes that the token does not hold to an agent that
// keeps them, and to give any that were lent.
func (c Caller) MayGrant(scopes Scopes) error {
	if len(scopes) == 0 {
		return nil
	}
	if err := c.mayMakeWhatLasts(); err != nil {
		return err
	}
	return c.holds(scopes, "you cannot grant scopes that your own token does not hold")
}

// mayMakeWhatLasts refuses those who act with lent authority.
func (c Caller) mayMakeWhatLasts() error {
	if c.isOwn() {
		return nil
	}
	return Refuse(CodeScopeNotAllowed, "your token acts with lent authority, and this would outlast it; use a token of your own").With("field", "scopes")
}

// holds refuses where scopes are beyond the token's, for a reason.
func (c Caller) holds(scopes Scopes, reason string) error {
	beyond := scopes.Beyond(c.Scopes)
	if len(beyond) == 0 {
		return nil
	}
	return Refuse(CodeScopeNotAllowed, "%s: %s", reason, beyond).
		With("field", "scopes").With("requested", scopes).With("available", c.Scopes)
}

// mayBeOpenedBy refuses callers who would get hold of more than their token has:
// a credential of an agent is worth all of its scopes, and its role. That holds
// for the caller's own agent too, or a narrow token would be worth the whole
// agent.
func (a Agent) mayBeOpenedBy(caller Caller) error {
	if err := caller.mayMakeWhatLasts(); err != nil {
		return err
	}
	if err := a.outranks(caller); err != nil {
		return err
	}
	return caller.holds(a.Scopes, "a credential would give more than your token holds; ask for a token with all scopes of the agent")
}

// mayBeWeakenedBy refuses callers who would end, for good, what is more than
// their token: credentials, allowed scopes, the agent. The operator and admin
// members may, since they answer for the organization.
func (a Agent) mayBeWeakenedBy(caller Caller) error {
	if caller.rules(a.OrganizationID) {
		return nil
	}
	if err := a.outranks(caller); err != nil {
		return err
	}
	err := caller.holds(a.Scopes, "this needs a token with all scopes of the agent, or the role admin in its organization")
	if refusal, refused := errors.AsType[*Error](err); refused {
		return caller.becauseOfRole(caller.Standing.Organization, refusal)
	}
	return err
}

// mayBeRevivedBy refuses callers who would give back more than their token has.
func (a Agent) mayBeRevivedBy(caller Caller) error {
	if err := caller.mayMakeWhatLasts(); err != nil {
		return err
	}
	return a.mayBeWeakenedBy(caller)
}

// outranks refuses callers who may not touch an admin member of the
// organization. The role is worth more than scopes, so that it takes an admin, or
// the operator. Whether an agent is one is not known where the caller's standing
// was not looked up: then it counts as one.
func (a Agent) outranks(caller Caller) error {
	known := caller.Standing.Organization
	isAdmin := known.ID != a.OrganizationID || known.IsAdmin(a.ID)
	if !isAdmin || caller.rules(a.OrganizationID) {
		return nil
	}
	return caller.becauseOfRole(known, Refuse(CodeCrossTenant,
		"the agent is an admin of its organization: this takes the operator or an admin, by a token with all scopes of its agent"))
}
