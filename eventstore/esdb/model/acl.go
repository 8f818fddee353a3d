package model

import (
	"encoding/json"
	"slices"
)

// Roles that stand for more than one user.
const (
	Everybody = "$all"
	Admins    = "$admins"
)

// Access is what a user may be refused.
type Access int

// What a stream's metadata say about: reading and writing it.
const (
	MayRead Access = iota
	MayWrite
)

// Allows reports whether a user may read or write a stream, or $all. Admins may
// everything. Others may what the stream's metadata allow, and where they say
// nothing all but the server's own streams and $all.
func (c *Cluster) Allows(user string, admin bool, access Access, stream string) bool {
	if admin {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if isMetastream(stream) {
		return false // admins alone, unless an ACL says otherwise: the model knows no such one
	}
	roles := []string{Everybody}
	if stream != "" && stream[0] == '$' {
		roles = []string{Admins}
	}
	if limits := c.log.look(stream, c.log.end).limits; limits != nil {
		var acl struct {
			Read  rolesOf `json:"$r"`
			Write rolesOf `json:"$w"`
		}
		_ = json.Unmarshal(limits.ACL, &acl) // what is none allows what is allowed without one
		said := acl.Read
		if access == MayWrite {
			said = acl.Write
		}
		if said != nil {
			roles = said
		}
	}
	return slices.Contains(roles, Everybody) || slices.Contains(roles, user)
}

// rolesOf is one role or several.
type rolesOf []string

// UnmarshalJSON reads a string or a list of them.
func (r *rolesOf) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*r = rolesOf{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(r))
}
