package readmodels

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
)

// Organizations is the projection behind the tenants and their members.
func Organizations() projections.Projection {
	return projections.Projection{
		Name: "organizations", Version: 2, Core: true,
		Tables: []string{"organizations", "organization_members"}, Apply: applyOrganizations,
		Types: domain.TypesChanging(domain.OrganizationNoun, domain.MemberNoun),
	}
}

type organizationRow struct {
	place
	organization domain.Organization
}

type memberRow struct {
	fact     domain.Event // that it was added, changed or removed by
	position eventstore.Position
	at       time.Time
}

func applyOrganizations(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	rows, err := loadOrganizations(ctx, tx, column(events, func(e follow.Event) pgtype.UUID { return dbID(domain.About(e.Fact).Organization.UUID) }))
	if err != nil {
		return err
	}
	changed := make(map[domain.OrganizationID]*organizationRow)
	var members []memberRow
	for _, e := range events {
		id := domain.About(e.Fact).Organization
		row := rows[id]
		if row == nil {
			if _, isFirst := e.Fact.(domain.OrganizationCreated); !isFirst {
				return fmt.Errorf("%s of organization %s: %w", e.Type, id, errNoBeginning)
			}
			row = &organizationRow{}
			rows[id] = row
		}
		if !row.take(e) {
			continue
		}
		row.organization = row.organization.Evolve(e.Fact, e.Time)
		changed[id] = row
		if domain.Changes(e.Fact) == domain.MemberNoun {
			members = append(members, memberRow{e.Fact, e.Position, e.Time})
		}
	}
	if err := storeOrganizations(ctx, tx, slices.Collect(maps.Values(changed))); err != nil {
		return err
	}
	return storeMembers(ctx, tx, members)
}

const selectOrganizationRows = `SELECT ` + organizationColumns + ` FROM organizations WHERE organization_id = ANY($1)`

func loadOrganizations(ctx context.Context, tx pgx.Tx, ids pgtype.FlatArray[pgtype.UUID]) (map[domain.OrganizationID]*organizationRow, error) {
	rows, err := tx.Query(ctx, selectOrganizationRows, ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[domain.OrganizationID]*organizationRow)
	for rows.Next() {
		o, err := scanOrganization(rows)
		if err != nil {
			return nil, err
		}
		found[o.ID] = &organizationRow{place: o.place, organization: domain.Organization{
			ID: o.ID, Name: o.Name, Slug: o.Slug, Tier: o.Tier, MaxAgents: o.MaxAgents,
			MaxCallsPerDay: o.MaxCallsPerDay, MaxTokensPerDay: o.MaxTokensPerDay, MaxTokensPerMonth: o.MaxTokensPerMonth,
			Status: o.Status, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
		}}
	}
	return found, rows.Err()
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

func storeOrganizations(ctx context.Context, tx pgx.Tx, rows []*organizationRow) error {
	if len(rows) == 0 {
		return nil
	}
	text := func(field func(domain.Organization) string) pgtype.FlatArray[string] {
		return column(rows, func(r *organizationRow) string { return field(r.organization) })
	}
	limit := func(field func(domain.Organization) *int) pgtype.FlatArray[*int] {
		return column(rows, func(r *organizationRow) *int { return field(r.organization) })
	}
	_, err := tx.Exec(ctx, storeOrganizationRows,
		column(rows, func(r *organizationRow) pgtype.UUID { return dbID(r.organization.ID.UUID) }),
		text(func(o domain.Organization) string { return o.Name }),
		text(func(o domain.Organization) string { return o.Slug }),
		text(func(o domain.Organization) string { return string(o.Tier) }),
		limit(func(o domain.Organization) *int { return o.MaxAgents }),
		limit(func(o domain.Organization) *int { return o.MaxCallsPerDay }),
		limit(func(o domain.Organization) *int { return o.MaxTokensPerDay }),
		limit(func(o domain.Organization) *int { return o.MaxTokensPerMonth }),
		text(func(o domain.Organization) string { return string(o.Status) }),
		column(rows, func(r *organizationRow) int64 { return int64(r.created) }),
		column(rows, func(r *organizationRow) int64 { return int64(r.changed) }),
		column(rows, func(r *organizationRow) time.Time { return r.organization.CreatedAt }),
		column(rows, func(r *organizationRow) time.Time { return r.organization.UpdatedAt }),
	)
	return err
}

const (
	changeMemberRow = `UPDATE organization_members SET (role, changed_position) = ($3, $4)
	WHERE organization_id = $1 AND agent_id = $2 AND changed_position < $4`

	removeMemberRow = `DELETE FROM organization_members WHERE organization_id = $1 AND agent_id = $2 AND changed_position < $3`
)

const storeMemberRow = `INSERT INTO organization_members AS m (organization_id, agent_id, role, changed_position, added_at)
	VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (organization_id, agent_id) DO UPDATE SET (role, changed_position) = (excluded.role, excluded.changed_position)
	WHERE m.changed_position < excluded.changed_position`

func storeMembers(ctx context.Context, tx pgx.Tx, members []memberRow) error {
	if len(members) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, m := range members {
		switch f := m.fact.(type) {
		case domain.MemberAdded:
			batch.Queue(storeMemberRow, f.OrganizationID.UUID, f.AgentID.UUID, string(f.Role), m.position, m.at)
		case domain.MemberRoleChanged:
			batch.Queue(changeMemberRow, f.OrganizationID.UUID, f.AgentID.UUID, string(f.Role), m.position)
		case domain.MemberRemoved:
			batch.Queue(removeMemberRow, f.OrganizationID.UUID, f.AgentID.UUID, m.position)
		}
	}
	return tx.SendBatch(ctx, batch).Close()
}
