package readmodels

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
)

// Agent is an agent as the registry shows it.
type Agent struct {
	ID             domain.AgentID
	OrganizationID domain.OrganizationID
	Email          string
	domain.Profile
	Scopes     domain.Scopes
	Status     domain.AgentStatus
	DID        string
	Edition    int // what an ETag stands for; that of the aggregate
	CreatedAt  time.Time
	UpdatedAt  time.Time
	LastAuthAt time.Time // zero when it never had a token

	place place
}

const agentColumns = `a.agent_id, a.organization_id, a.email, a.agent_type, a.version, a.capabilities, a.owner,
	a.deployment_env, a.description, a.metadata, a.is_public, a.scopes, a.status, a.did, a.edition,
	a.created_position, a.changed_position, a.created_at, a.updated_at`

// scanAgent reads agentColumns, followed by last_auth_at where lastAuth is given.
func scanAgent(row pgx.CollectableRow, lastAuth **time.Time) (a Agent, err error) {
	var metadata string
	var scopes []string
	fields := []any{&a.ID.UUID, &a.OrganizationID.UUID, &a.Email, (*string)(&a.AgentType), &a.Version, &a.Capabilities,
		&a.Owner, (*string)(&a.DeploymentEnv), &a.Description, &metadata, &a.IsPublic, &scopes, (*string)(&a.Status), &a.DID,
		&a.Edition, (*uint64)(&a.place.created), (*uint64)(&a.place.changed), &a.CreatedAt, &a.UpdatedAt}
	if lastAuth != nil {
		fields = append(fields, lastAuth)
	}
	if err := row.Scan(fields...); err != nil {
		return a, err
	}
	a.Metadata = json.RawMessage(metadata)
	a.Scopes = make(domain.Scopes, len(scopes))
	for i, s := range scopes {
		a.Scopes[i] = domain.Scope(s)
	}
	a.CreatedAt, a.UpdatedAt = a.CreatedAt.UTC(), a.UpdatedAt.UTC()
	return a, nil
}

func scanShownAgent(row pgx.CollectableRow) (Agent, error) {
	var lastAuth *time.Time
	a, err := scanAgent(row, &lastAuth)
	a.LastAuthAt = timeOrZero(lastAuth)
	return a, err
}

const (
	selectAgents = `SELECT ` + agentColumns + `, l.last_auth_at
		FROM agents a LEFT JOIN agent_activity l ON l.agent_id = a.agent_id `

	selectAgent    = selectAgents + `WHERE a.agent_id = $1 AND a.organization_id = $2`
	selectAnyAgent = selectAgents + `WHERE a.agent_id = $1`
	countAgents    = `SELECT count(*) FROM agents a `
	newestAgents   = ` ORDER BY a.created_position DESC `
)

// Agent finds an agent. The error is [ErrNotFound] when the tenant has none
// with this id.
func (q *Queries) Agent(ctx context.Context, tenant Tenant, id domain.AgentID) (Agent, error) {
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
func (q *Queries) Agents(ctx context.Context, tenant Tenant, f AgentFilter) (List[Agent], error) {
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
