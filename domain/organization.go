package domain

import (
	"maps"
	"regexp"
	"time"
)

// OrganizationStatus is where an organization is in its life.
type OrganizationStatus string

const (
	OrganizationActive      OrganizationStatus = "active"
	OrganizationIsSuspended OrganizationStatus = "suspended"
	OrganizationIsDeleted   OrganizationStatus = "deleted"
	organizationNeverWas    OrganizationStatus = "abandoned" // its creation was given up; it can never come to life
)

// Role is what a member may do in its organization.
type Role string

const (
	RoleMember Role = "member"
	RoleAdmin  Role = "admin" // may read and patch the organization
)

// Organization is the aggregate of one organization-<id> stream. The zero
// Organization does not exist.
type Organization struct {
	ID                OrganizationID
	Name              string
	Slug              string
	Tier              Tier
	MaxAgents         *int // overrides the tier's, as do those below
	MaxCallsPerDay    *int
	MaxTokensPerDay   *int
	MaxTokensPerMonth *int
	Status            OrganizationStatus
	Members           map[AgentID]Role
	Suspending        map[AgentID]int // by member that was to be suspended, the agent's edition then
	Promotions        int             // how often somebody became an admin
	AdminSince        map[AgentID]int // by admin, the promotion that made it one
	Era               int             // how often all credentials were ended; older ones are dead
	CreatedAt         time.Time
	UpdatedAt         time.Time
}

// OrganizationCommand is a command to one organization.
type OrganizationCommand interface {
	decide(Organization) ([]Event, error)
}

// Decide says what the command leads to, or refuses with an [*Error].
func (o Organization) Decide(cmd OrganizationCommand) ([]Event, error) { return cmd.decide(o) }

// Exists reports whether the organization was ever created, deleted ones included.
func (o Organization) Exists() bool { return o.Status != "" && o.Status != organizationNeverWas }

// Abandoned reports whether the creation was given up before it was done.
func (o Organization) Abandoned() bool { return o.Status == organizationNeverWas }

// IsAdmin reports whether the agent is one of the organization's own admins.
func (o Organization) IsAdmin(agent AgentID) bool { return o.Members[agent] == RoleAdmin }

// Limits of the organization: its tier's, unless overridden. The platform's own
// has none, whatever an older ledger says: nobody could undo one that shuts the
// operator out.
func (o Organization) Limits() Limits {
	if o.isSystem() {
		return TierEnterprise.Limits()
	}
	limits := o.Tier.Limits()
	set(&limits.MaxAgents, o.MaxAgents)
	set(&limits.MaxCallsPerDay, o.MaxCallsPerDay)
	set(&limits.MaxTokensPerDay, o.MaxTokensPerDay)
	set(&limits.MaxTokensPerMonth, o.MaxTokensPerMonth)
	return limits
}

// MustBeActive refuses what needs a living organization.
func (o Organization) MustBeActive() error {
	switch o.Status {
	case OrganizationActive:
		return nil
	case OrganizationIsSuspended:
		return Refuse(CodeCrossTenant, "the organization is suspended")
	}
	return Refuse(CodeOrganizationNotFound, "there is no such organization")
}

// withEntry never writes to the map it is given: older states share it.
func withEntry[V any](entries map[AgentID]V, agent AgentID, value V) map[AgentID]V {
	entries = maps.Clone(entries)
	if entries == nil {
		entries = map[AgentID]V{}
	}
	entries[agent] = value
	return entries
}

func without[V any](entries map[AgentID]V, agent AgentID) map[AgentID]V {
	if _, there := entries[agent]; !there {
		return entries
	}
	entries = maps.Clone(entries)
	delete(entries, agent)
	return entries
}

func (o Organization) withRole(agent AgentID, role Role) Organization {
	o.Members = withEntry(o.Members, agent, role)
	if role != RoleAdmin {
		o.AdminSince = without(o.AdminSince, agent)
		return o
	}
	o.Promotions++
	o.AdminSince = withEntry(o.AdminSince, agent, o.Promotions)
	return o
}

// Evolve applies an event of the organization's stream, recorded at the given time.
func (o Organization) Evolve(e Event, at time.Time) Organization {
	switch e := e.(type) {
	case OrganizationCreated:
		o.ID, o.Name, o.Slug, o.Tier = e.OrganizationID, e.Name, e.Slug, e.PlanTier
		o.MaxAgents, o.MaxTokensPerMonth = e.MaxAgents, e.MaxTokensPerMonth
		o.MaxCallsPerDay, o.MaxTokensPerDay = e.MaxCallsPerDay, e.MaxTokensPerDay
		o.Status, o.CreatedAt = OrganizationActive, at
	case OrganizationUpdated:
		set(&o.Name, e.Name)
		e.MaxAgents.replace(&o.MaxAgents)
		e.MaxCallsPerDay.replace(&o.MaxCallsPerDay)
		e.MaxTokensPerDay.replace(&o.MaxTokensPerDay)
		e.MaxTokensPerMonth.replace(&o.MaxTokensPerMonth)
	case TierChanged:
		o.Tier = e.To
	case OrganizationSuspended:
		o.Status = OrganizationIsSuspended
	case OrganizationReactivated:
		o.Status = OrganizationActive
	case OrganizationDeleted:
		o.Status = OrganizationIsDeleted
	case OrganizationAccessRevoked:
		o.Era = max(o.Era, e.Era)
	case CreationAbandoned:
		o.ID, o.Status = e.OrganizationID, organizationNeverWas
	case MemberAdded:
		o = o.withRole(e.AgentID, e.Role)
	case MemberRoleChanged:
		o = o.withRole(e.AgentID, e.Role)
	case MemberRemoved:
		o.Members, o.Suspending = without(o.Members, e.AgentID), without(o.Suspending, e.AgentID)
		o.AdminSince = without(o.AdminSince, e.AgentID)
	case MemberSuspended:
		o.Suspending = withEntry(o.Suspending, e.AgentID, max(e.Edition, o.Suspending[e.AgentID]))
	default:
		return o
	}
	o.UpdatedAt = at
	return o
}

// mayBeReadBy lets the operator and the organization's own admins in.
func (o Organization) mayBeReadBy(caller Caller) error {
	if err := caller.MayActIn(o.ID); err != nil {
		return err
	}
	if !o.Exists() {
		return Refuse(CodeOrganizationNotFound, "there is no such organization")
	}
	if caller.IsOperator() {
		return nil
	}
	caller.Standing.Organization = o // as it is now: the decision rests on it
	if !caller.IsAdmin() {
		return caller.becauseOfRole(o, Refuse(CodeInsufficientScope,
			"this needs the scope %s, or the role admin in the organization and a token with all scopes of its agent", ScopeAdminOrgs))
	}
	return nil
}

// AuthorizeRead refuses callers who may not see the organization's record.
func (o Organization) AuthorizeRead(caller Caller) error { return o.mayBeReadBy(caller) }

func (o Organization) mayChange(caller Caller) error {
	if err := o.mayBeReadBy(caller); err != nil {
		return err
	}
	if o.Status == OrganizationIsDeleted {
		return Refuse(CodeOrganizationNotFound, "the organization is deleted")
	}
	return nil
}

var slugPattern = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9])*$`)

const (
	minSlugLength = 2
	maxSlugLength = 64
	maxLimit      = 1_000_000_000
)

func validateSlug(slug string) error {
	if len(slug) < minSlugLength || len(slug) > maxSlugLength || !slugPattern.MatchString(slug) {
		return Invalid("slug", "must be 2-64 lower-case letters, digits and single hyphens in between", slugPattern.String())
	}
	return nil
}

func validateLimit(field string, limit *int) error {
	if limit != nil && (*limit < 0 || *limit > maxLimit) {
		return Invalid(field, "is out of bounds", map[string]int{"minimum": 0, "maximum": maxLimit})
	}
	return nil
}
