package readmodels

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
)

// Agents is the projection behind the agent registry.
func Agents() projections.Projection {
	return projections.Projection{
		Name: "agents", Version: 1, Core: true, Tables: []string{"agents"},
		Types: domain.TypesChanging(domain.AgentNoun),
		Apply: fold[domain.Agent]{
			what:   "agent",
			about:  func(e domain.Event) uuid.UUID { return domain.About(e).Agent.UUID },
			begins: is[domain.AgentCreated],
			evolve: func(a domain.Agent, e follow.Event) domain.Agent { return a.Evolve(e.Fact, e.Time) },
			load:   `SELECT ` + agentColumns + ` FROM agents a WHERE agent_id = ANY($1)`,
			scan:   func(columns pgx.CollectableRow) (row[domain.Agent], error) { return scanAgent(columns) },
			id:     func(a domain.Agent) uuid.UUID { return a.ID.UUID },
			store:  storeAgents,
		}.apply,
	}
}

const agentColumns = `a.agent_id, a.organization_id, a.email, a.agent_type, a.version, a.capabilities, a.owner,
	a.deployment_env, a.description, a.metadata, a.is_public, a.scopes, a.status, a.did, a.edition,
	a.created_position, a.changed_position, a.created_at, a.updated_at`

// scanAgent reads the columns, and into more what follows them.
func scanAgent(columns pgx.CollectableRow, more ...any) (r row[domain.Agent], err error) {
	var metadata string
	var scopes []string
	a := &r.thing
	fields := []any{&a.ID.UUID, &a.OrganizationID.UUID, &a.Email, (*string)(&a.Profile.AgentType), &a.Profile.Version,
		&a.Profile.Capabilities, &a.Profile.Owner, (*string)(&a.Profile.DeploymentEnv), &a.Profile.Description, &metadata,
		&a.Profile.IsPublic, &scopes, (*string)(&a.Status), &a.DID, &a.Edition,
		(*uint64)(&r.created), (*uint64)(&r.changed), &a.CreatedAt, &a.UpdatedAt}
	err = columns.Scan(append(fields, more...)...)
	a.Profile.Metadata, a.Scopes = json.RawMessage(metadata), scopesOf(scopes)
	a.CreatedAt, a.UpdatedAt = a.CreatedAt.UTC(), a.UpdatedAt.UTC()
	return r, err
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

func storeAgents(ctx context.Context, tx pgx.Tx, rows []*row[domain.Agent]) error {
	text := func(field func(domain.Agent) string) pgtype.FlatArray[string] {
		return column(rows, func(r *row[domain.Agent]) string { return field(r.thing) })
	}
	_, err := tx.Exec(ctx, storeAgentRows,
		column(rows, func(r *row[domain.Agent]) pgtype.UUID { return dbID(r.thing.ID.UUID) }),
		column(rows, func(r *row[domain.Agent]) pgtype.UUID { return dbID(r.thing.OrganizationID.UUID) }),
		text(func(a domain.Agent) string { return a.Email }),
		text(func(a domain.Agent) string { return string(a.Profile.AgentType) }),
		text(func(a domain.Agent) string { return a.Profile.Version }),
		text(func(a domain.Agent) string { return joined(a.Profile.Capabilities) }),
		text(func(a domain.Agent) string { return a.Profile.Owner }),
		text(func(a domain.Agent) string { return string(a.Profile.DeploymentEnv) }),
		text(func(a domain.Agent) string { return a.Profile.Description }),
		text(func(a domain.Agent) string { return string(a.Profile.Metadata) }),
		column(rows, func(r *row[domain.Agent]) bool { return r.thing.Profile.IsPublic }),
		text(func(a domain.Agent) string { return joined(a.Scopes) }),
		text(func(a domain.Agent) string { return string(a.Status) }),
		text(func(a domain.Agent) string { return a.DID }),
		column(rows, func(r *row[domain.Agent]) int32 { return int32(r.thing.Edition) }),
		column(rows, func(r *row[domain.Agent]) int64 { return int64(r.created) }),
		column(rows, func(r *row[domain.Agent]) int64 { return int64(r.changed) }),
		column(rows, func(r *row[domain.Agent]) time.Time { return r.thing.CreatedAt }),
		column(rows, func(r *row[domain.Agent]) time.Time { return r.thing.UpdatedAt }),
	)
	return err
}

// scanShownAgent reads an agent as the registry shows it: without its credentials
// and the keys of its DID, which are read models of their own.
func scanShownAgent(columns pgx.CollectableRow) (domain.Agent, error) {
	var lastAuth, didCreated *time.Time
	r, err := scanAgent(columns, &lastAuth, &didCreated)
	r.thing.LastAuthAt, r.thing.Keys.CreatedAt = timeOrZero(lastAuth), timeOrZero(didCreated)
	return r.thing, err
}

const (
	selectAgents = `SELECT ` + agentColumns + `, l.last_auth_at, d.created_at
		FROM agents a LEFT JOIN agent_activity l ON l.agent_id = a.agent_id LEFT JOIN dids d ON d.agent_id = a.agent_id `

	selectAgent    = selectAgents + `WHERE a.agent_id = $1 AND a.organization_id = $2`
	selectAnyAgent = selectAgents + `WHERE a.agent_id = $1`
	countAgents    = `SELECT count(*) FROM agents a `
	newestAgents   = ` ORDER BY a.created_position DESC `
)

// Agent finds an agent. The error is [ErrNotFound] when the tenant has none
// with this id.
func (q *Queries) Agent(ctx context.Context, tenant Tenant, id domain.AgentID) (domain.Agent, error) {
	if tenant.all {
		return one(ctx, q, tenant, scanShownAgent, selectAnyAgent, id.UUID)
	}
	return one(ctx, q, tenant, scanShownAgent, selectAgent, id.UUID, tenant.organization.UUID)
}

// AgentFilter chooses agents. Zero fields choose all.
type AgentFilter struct {
	Owner     string
	AgentType domain.AgentType
	Status    domain.AgentStatus
	Page      Page
}

// Agents lists agents, the ones registered last first.
func (q *Queries) Agents(ctx context.Context, tenant Tenant, f AgentFilter) (List[domain.Agent], error) {
	var c conditions
	c.tenant(tenant, "a.organization_id")
	if f.Owner != "" {
		c.add("a.owner = ?", f.Owner)
	}
	if f.AgentType != "" {
		c.add("a.agent_type = ?", string(f.AgentType))
	}
	if f.Status != "" {
		c.add("a.status = ?", string(f.Status))
	}
	return list(ctx, q, tenant, scanShownAgent, f.Page, selectAgents, countAgents, c, newestAgents)
}
