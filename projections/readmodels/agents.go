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
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
)

// Agents is the projection behind the agent registry.
func Agents() projections.Projection {
	return projections.Projection{
		Name: "agents", Version: 1, Core: true, Tables: []string{"agents"}, Apply: applyAgents,
		Types: domain.TypesChanging(domain.AgentNoun),
	}
}

// agentRow is a row of the table while events are folded into it. It is folded
// by the aggregate itself, so that the two cannot differ.
type agentRow struct {
	place
	agent domain.Agent
}

func applyAgents(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	rows, err := loadAgents(ctx, tx, column(events, func(e follow.Event) pgtype.UUID { return dbID(domain.About(e.Fact).Agent.UUID) }))
	if err != nil {
		return err
	}
	changed := make(map[domain.AgentID]*agentRow)
	for _, e := range events {
		id := domain.About(e.Fact).Agent
		row := rows[id]
		if row == nil {
			if _, isFirst := e.Fact.(domain.AgentCreated); !isFirst {
				return fmt.Errorf("%s of agent %s: %w", e.Type, id, errNoBeginning)
			}
			row = &agentRow{}
			rows[id] = row
		}
		if row.take(e) {
			row.agent = row.agent.Evolve(e.Fact, e.Time)
			changed[id] = row
		}
	}
	return storeAgents(ctx, tx, slices.Collect(maps.Values(changed)))
}

const selectAgentRows = `SELECT ` + agentColumns + ` FROM agents a WHERE agent_id = ANY($1)`

func loadAgents(ctx context.Context, tx pgx.Tx, ids pgtype.FlatArray[pgtype.UUID]) (map[domain.AgentID]*agentRow, error) {
	rows, err := tx.Query(ctx, selectAgentRows, ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[domain.AgentID]*agentRow, len(ids))
	for rows.Next() {
		a, err := scanAgent(rows, nil)
		if err != nil {
			return nil, err
		}
		found[a.ID] = &agentRow{place: a.place, agent: domain.Agent{
			ID: a.ID, OrganizationID: a.OrganizationID, Email: a.Email, Profile: a.Profile, Scopes: a.Scopes,
			Status: a.Status, DID: a.DID, Edition: a.Edition, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
		}}
	}
	return found, rows.Err()
}

const storeAgentRows = `INSERT INTO agents AS a (agent_id, organization_id, email, agent_type, version, capabilities, owner,
		deployment_env, description, metadata, is_public, scopes, status, did, edition,
		created_position, changed_position, created_at, updated_at)
	SELECT e.agent_id, e.organization_id, e.email, e.agent_type, e.version, string_to_array(e.capabilities, ' '), e.owner,
		e.deployment_env, e.description, e.metadata, e.is_public, string_to_array(e.scopes, ' '), e.status, e.did, e.edition,
		e.created_position, e.changed_position, e.created_at, e.updated_at
	FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
		$10::text[], $11::bool[], $12::text[], $13::text[], $14::text[], $15::int[], $16::bigint[], $17::bigint[],
		$18::timestamptz[], $19::timestamptz[])
		AS e(agent_id, organization_id, email, agent_type, version, capabilities, owner, deployment_env, description,
		metadata, is_public, scopes, status, did, edition, created_position, changed_position, created_at, updated_at)
	ON CONFLICT (agent_id) DO UPDATE SET (agent_type, version, capabilities, owner, deployment_env, description, metadata,
		is_public, scopes, status, edition, changed_position, updated_at)
		= (excluded.agent_type, excluded.version, excluded.capabilities, excluded.owner, excluded.deployment_env,
		excluded.description, excluded.metadata, excluded.is_public, excluded.scopes, excluded.status, excluded.edition,
		excluded.changed_position, excluded.updated_at)
	WHERE a.changed_position < excluded.changed_position`

func storeAgents(ctx context.Context, tx pgx.Tx, rows []*agentRow) error {
	if len(rows) == 0 {
		return nil
	}
	text := func(field func(domain.Agent) string) pgtype.FlatArray[string] {
		return column(rows, func(r *agentRow) string { return field(r.agent) })
	}
	_, err := tx.Exec(ctx, storeAgentRows,
		column(rows, func(r *agentRow) pgtype.UUID { return dbID(r.agent.ID.UUID) }),
		column(rows, func(r *agentRow) pgtype.UUID { return dbID(r.agent.OrganizationID.UUID) }),
		text(func(a domain.Agent) string { return a.Email }),
		text(func(a domain.Agent) string { return string(a.Profile.AgentType) }),
		text(func(a domain.Agent) string { return a.Profile.Version }),
		text(func(a domain.Agent) string { return joined(a.Profile.Capabilities) }),
		text(func(a domain.Agent) string { return a.Profile.Owner }),
		text(func(a domain.Agent) string { return string(a.Profile.DeploymentEnv) }),
		text(func(a domain.Agent) string { return a.Profile.Description }),
		text(func(a domain.Agent) string { return string(a.Profile.Metadata) }),
		column(rows, func(r *agentRow) bool { return r.agent.Profile.IsPublic }),
		text(func(a domain.Agent) string { return joined(a.Scopes) }),
		text(func(a domain.Agent) string { return string(a.Status) }),
		text(func(a domain.Agent) string { return a.DID }),
		column(rows, func(r *agentRow) int32 { return int32(r.agent.Edition) }),
		column(rows, func(r *agentRow) int64 { return int64(r.created) }),
		column(rows, func(r *agentRow) int64 { return int64(r.changed) }),
		column(rows, func(r *agentRow) time.Time { return r.agent.CreatedAt }),
		column(rows, func(r *agentRow) time.Time { return r.agent.UpdatedAt }),
	)
	return err
}
