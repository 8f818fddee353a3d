package readmodels

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
)

// Organizations is the projection behind the tenants and their members.
func Organizations() projections.Projection {
	organizations := fold[domain.Organization]{
		what:   "organization",
		about:  func(e domain.Event) uuid.UUID { return domain.About(e).Organization.UUID },
		begins: is[domain.OrganizationCreated],
		evolve: func(o domain.Organization, e follow.Event) domain.Organization { return o.Evolve(e.Fact, e.Time) },
		load:   selectOrganizations + ` WHERE organization_id = ANY($1)`,
		scan:   scanOrganization,
		id:     func(o domain.Organization) uuid.UUID { return o.ID.UUID },
		store:  storeOrganizations,
	}
	return projections.Projection{
		Name: "organizations", Version: 2, Core: true, Tables: []string{"organizations", "organization_members"},
		Types: domain.TypesChanging(domain.OrganizationNoun, domain.MemberNoun),
		Apply: func(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
			news, err := organizations.applyNews(ctx, tx, events)
			if err != nil {
				return err
			}
			return storeMembers(ctx, tx, news)
		},
	}
}

const organizationColumns = `organization_id, name, slug, plan_tier, max_agents, max_calls_per_day, max_tokens_per_day,
	max_tokens_per_month, status,
	created_position, changed_position, created_at, updated_at`

func scanOrganization(columns pgx.CollectableRow) (r row[domain.Organization], err error) {
	o := &r.thing
	err = columns.Scan(&o.ID.UUID, &o.Name, &o.Slug, (*string)(&o.Tier), &o.MaxAgents, &o.MaxCallsPerDay, &o.MaxTokensPerDay,
		&o.MaxTokensPerMonth, (*string)(&o.Status), (*uint64)(&r.created), (*uint64)(&r.changed), &o.CreatedAt, &o.UpdatedAt)
	o.CreatedAt, o.UpdatedAt = o.CreatedAt.UTC(), o.UpdatedAt.UTC()
	return r, err
}

const storeOrganizationRows = `INSERT INTO organizations AS o (` + organizationColumns + `)
	SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::int[], $6::int[], $7::int[],
		$8::int[], $9::text[], $10::bigint[], $11::bigint[], $12::timestamptz[], $13::timestamptz[])
	ON CONFLICT (organization_id) DO UPDATE
		SET (name, plan_tier, max_agents, max_calls_per_day, max_tokens_per_day, max_tokens_per_month, status,
		changed_position, updated_at)
		= (excluded.name, excluded.plan_tier, excluded.max_agents, excluded.max_calls_per_day, excluded.max_tokens_per_day,
		excluded.max_tokens_per_month, excluded.status, excluded.changed_position, excluded.updated_at)
	WHERE o.changed_position < excluded.changed_position`

func storeOrganizations(ctx context.Context, tx pgx.Tx, rows []*row[domain.Organization]) error {
	text := func(field func(domain.Organization) string) pgtype.FlatArray[string] {
		return column(rows, func(r *row[domain.Organization]) string { return field(r.thing) })
	}
	limit := func(field func(domain.Organization) *int) pgtype.FlatArray[*int] {
		return column(rows, func(r *row[domain.Organization]) *int { return field(r.thing) })
	}
	_, err := tx.Exec(ctx, storeOrganizationRows,
		column(rows, func(r *row[domain.Organization]) pgtype.UUID { return dbID(r.thing.ID.UUID) }),
		text(func(o domain.Organization) string { return o.Name }),
		text(func(o domain.Organization) string { return o.Slug }),
		text(func(o domain.Organization) string { return string(o.Tier) }),
		limit(func(o domain.Organization) *int { return o.MaxAgents }),
		limit(func(o domain.Organization) *int { return o.MaxCallsPerDay }),
		limit(func(o domain.Organization) *int { return o.MaxTokensPerDay }),
		limit(func(o domain.Organization) *int { return o.MaxTokensPerMonth }),
		text(func(o domain.Organization) string { return string(o.Status) }),
		column(rows, func(r *row[domain.Organization]) int64 { return int64(r.created) }),
		column(rows, func(r *row[domain.Organization]) int64 { return int64(r.changed) }),
		column(rows, func(r *row[domain.Organization]) time.Time { return r.thing.CreatedAt }),
		column(rows, func(r *row[domain.Organization]) time.Time { return r.thing.UpdatedAt }),
	)
	return err
}

const (
	storeMemberRow = `INSERT INTO organization_members AS m (organization_id, agent_id, role, changed_position, added_at)
	VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (organization_id, agent_id) DO UPDATE SET (role, changed_position) = (excluded.role, excluded.changed_position)
	WHERE m.changed_position < excluded.changed_position`

	changeMemberRow = `UPDATE organization_members SET (role, changed_position) = ($3, $4)
	WHERE organization_id = $1 AND agent_id = $2 AND changed_position < $4`

	removeMemberRow = `DELETE FROM organization_members WHERE organization_id = $1 AND agent_id = $2 AND changed_position < $3`
)

func storeMembers(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	batch := &pgx.Batch{}
	for _, e := range events {
		switch f := e.Fact.(type) {
		case domain.MemberAdded:
			batch.Queue(storeMemberRow, f.OrganizationID.UUID, f.AgentID.UUID, string(f.Role), e.Position, e.Time)
		case domain.MemberRoleChanged:
			batch.Queue(changeMemberRow, f.OrganizationID.UUID, f.AgentID.UUID, string(f.Role), e.Position)
		case domain.MemberRemoved:
			batch.Queue(removeMemberRow, f.OrganizationID.UUID, f.AgentID.UUID, e.Position)
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, batch).Close()
}

// Member is an agent that has a role in its organization.
type Member struct {
	AgentID domain.AgentID
	Role    domain.Role
	AddedAt time.Time
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

// Organizations lists organizations, newest first; a tenant sees its own. Their
// members are a list of their own.
func (q *Queries) Organizations(ctx context.Context, tenant Tenant, page Page) (List[domain.Organization], error) {
	var c conditions
	c.tenant(tenant, "organization_id")
	return list(ctx, q, tenant, shown(scanOrganization), page, selectOrganizations, countOrganizations, c, newestOrganizations)
}

// Members lists the members of an organization, newest first.
func (q *Queries) Members(ctx context.Context, tenant Tenant, id domain.OrganizationID, page Page) (List[Member], error) {
	var c conditions
	c.add("organization_id = ?", id.UUID)
	c.tenant(tenant, "organization_id")
	return list(ctx, q, tenant, scanMember, page, selectMembers, countMembers, c, newestMembers)
}
