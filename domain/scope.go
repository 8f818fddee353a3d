package domain

import (
	"slices"
	"strings"
)

// Scope is a permission (RFC 6749 section 3.3).
type Scope string

const (
	ScopeAgentsRead    Scope = "agents:read"
	ScopeAgentsWrite   Scope = "agents:write"
	ScopeTokensRead    Scope = "tokens:read"
	ScopeAuditRead     Scope = "audit:read"
	ScopeWebhooksRead  Scope = "webhooks:read"
	ScopeWebhooksWrite Scope = "webhooks:write"
	ScopeAdminOrgs     Scope = "admin:orgs"
	ScopeOpenID        Scope = "openid"
)

// AllScopes lists every scope there is.
func AllScopes() Scopes {
	return NewScopes(ScopeAgentsRead, ScopeAgentsWrite, ScopeTokensRead, ScopeAuditRead,
		ScopeWebhooksRead, ScopeWebhooksWrite, ScopeAdminOrgs, ScopeOpenID)
}

// DefaultScopes is what an agent is allowed when its registration names nothing.
func DefaultScopes() Scopes { return NewScopes(ScopeAgentsRead) }

// Scopes is a set of scopes: sorted, without duplicates. Make one with
// [NewScopes] or [ParseScopes]; treat it as immutable.
type Scopes []Scope

// NewScopes makes a set.
func NewScopes(scopes ...Scope) Scopes {
	set := slices.Clone(scopes)
	slices.Sort(set)
	return slices.Compact(set)
}

// ParseScopes reads the space-separated form of RFC 6749 section 3.3. A scope
// that does not exist is kept: whoever checks the set refuses it.
func ParseScopes(s string) Scopes {
	var scopes []Scope
	for word := range strings.FieldsSeq(s) {
		scopes = append(scopes, Scope(word))
	}
	return NewScopes(scopes...)
}

// String is the space-separated form of RFC 6749 section 3.3.
func (s Scopes) String() string {
	words := make([]string, len(s))
	for i, scope := range s {
		words[i] = string(scope)
	}
	return strings.Join(words, " ")
}

// Has reports whether the scope is in the set.
func (s Scopes) Has(scope Scope) bool {
	_, found := slices.BinarySearch(s, scope)
	return found
}

// Without is the set less one scope.
func (s Scopes) Without(scope Scope) Scopes {
	return slices.DeleteFunc(slices.Clone(s), func(have Scope) bool { return have == scope })
}

// Beyond is what the set has and the other set lacks; empty for a subset.
func (s Scopes) Beyond(other Scopes) Scopes {
	return slices.DeleteFunc(slices.Clone(s), other.Has)
}

// Within is what the set and the other set have in common; never nil.
func (s Scopes) Within(other Scopes) Scopes {
	return slices.DeleteFunc(append(Scopes{}, s...), func(have Scope) bool { return !other.Has(have) })
}

// normalized is the set that the scopes make, however they were listed; never
// nil, which would be stored as if nothing had been said of them.
func (s Scopes) normalized() Scopes { return append(Scopes{}, NewScopes(s...)...) }

func (s Scopes) validate(field string) error {
	if unknown := s.Beyond(AllScopes()); len(unknown) > 0 {
		return Invalid(field, "names a scope that does not exist: "+unknown.String(), AllScopes())
	}
	return nil
}
