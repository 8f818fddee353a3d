package readmodels

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
)

// Organization is a tenant as lists show it.
type Organization struct {
	ID                domain.OrganizationID
	Name              string
	Slug              string
	Tier              domain.Tier
	MaxAgents         *int // overrides the tier's, as do those below
	MaxCallsPerDay    *int
	MaxTokensPerDay   *int
	MaxTokensPerMonth *int
	Status            domain.OrganizationStatus
	CreatedAt         time.Time
	UpdatedAt         time.Time

	place place
}

// Member is an agent that has a role in its organization.
type Member struct {
	AgentID domain.AgentID
	Role    domain.Role
	AddedAt time.Time
}

const organizationColumns = `organization_id, name, slug, plan_tier, max_agents, max_calls_per_day, max_tokens_per_day,
	max_tokens_per_month, status,
	created_position, changed_position, created_at, updated_at`

func scanOrganization(row pgx.CollectableRow) (o Organization, err error) {
	err = row.Scan(&o.ID.UUID, &o.Name, &o.Slug, (*string)(&o.Tier), &o.MaxAgents, &o.MaxCallsPerDay, &o.MaxTokensPerDay,
		&o.MaxTokensPerMonth, (*string)(&o.Status), (*uint64)(&o.place.created), (*uint64)(&o.place.changed), &o.CreatedAt, &o.UpdatedAt)
	o.CreatedAt, o.UpdatedAt = o.CreatedAt.UTC(), o.UpdatedAt.UTC()
	return o, err
}

func scanMember(row pgx.CollectableRow) (m Member, err error) {
	err = row.Scan(&m.AgentID.UUID, (*string)(&m.Role), &m.AddedAt)
	m.AddedAt = m.AddedAt.UTC()
	return m, err
}

const (
	selectOrganizations = `SELECT ` + organizationColumns + ` FROM organizations`
	countOrganizations  = `SELECT count(*) FROM organizations`
	newestOrganizations = ` ORDER BY created_position DESC`

	selectMembers = `SELECT agent_id, role, added_at FROM organization_members`
	countMembers  = `SELECT count(*) FROM organization_members`
	newestMembers = ` ORDER BY changed_position DESC`
)

// Organization finds an organization. The error is [ErrNotFound] when the
// tenant is another one or it does not exist.
func (q *Queries) Organization(ctx context.Context, tenant Tenant, id domain.OrganizationID) (Organization, error) {
	var c conditions
	c.add("organization_id = ?", id.UUID)
	c.tenant(tenant, "organization_id")
	return one(ctx, q, tenant, scanOrganization, selectOrganizations+c.where(), c.args...)
}

// OrganizationFilter chooses organizations.
type OrganizationFilter struct {
	Status domain.OrganizationStatus // "" for all
	Page   Page
}

// Organizations lists organizations, newest first; a tenant sees its own.
func (q *Queries) Organizations(ctx context.Context, tenant Tenant, f OrganizationFilter) (List[Organization], error) {
	var c conditions
	c.tenant(tenant, "organization_id")
	if f.Status != "" {
		c.add("status = ?", string(f.Status))
	}
	return list(ctx, q, tenant, scanOrganization, f.Page, selectOrganizations, countOrganizations, c, newestOrganizations)
}

// Members lists the members of an organization, newest first.
func (q *Queries) Members(ctx context.Context, tenant Tenant, id domain.OrganizationID, page Page) (List[Member], error) {
	var c conditions
	c.add("organization_id = ?", id.UUID)
	c.tenant(tenant, "organization_id")
	return list(ctx, q, tenant, scanMember, page, selectMembers, countMembers, c, newestMembers)
}
