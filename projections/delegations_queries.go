package projections

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
)

const delegationColumns = `chain_id, organization_id, delegator_agent_id, delegatee_agent_id, parent_chain_id, scopes,
	ttl_seconds, max_depth, depth, created_position, changed_position, created_at, expires_at, revoked_at`

func scanDelegationRow(row pgx.CollectableRow) (d delegationRow, err error) {
	var parent *uuid.UUID
	var scopes []string
	var revoked *time.Time
	err = row.Scan(&d.ID.UUID, &d.OrganizationID.UUID, &d.DelegatorID.UUID, &d.DelegateeID.UUID, &parent, &scopes,
		&d.TTLSeconds, &d.MaxDepth, &d.Depth, (*uint64)(&d.created), (*uint64)(&d.changed), &d.CreatedAt, &d.ExpiresAt, &revoked)
	if parent != nil {
		d.ParentID.UUID = *parent
	}
	d.Scopes = make(domain.Scopes, len(scopes))
	for i, s := range scopes {
		d.Scopes[i] = domain.Scope(s)
	}
	d.CreatedAt, d.ExpiresAt, d.RevokedAt = d.CreatedAt.UTC(), d.ExpiresAt.UTC(), timeOrZero(revoked)
	return d, err
}

func scanDelegation(row pgx.CollectableRow) (domain.Delegation, error) {
	d, err := scanDelegationRow(row)
	return d.Delegation, err
}

const (
	selectDelegations = `SELECT ` + delegationColumns + ` FROM delegations`
	countDelegations  = `SELECT count(*) FROM delegations`
	newestDelegations = ` ORDER BY created_position DESC`
)

// Delegation finds a delegation. The error is [ErrNotFound] when the tenant has
// none with this id.
func (q *Queries) Delegation(ctx context.Context, tenant Tenant, id domain.DelegationID) (domain.Delegation, error) {
	var c conditions
	c.add("chain_id = ?", id.UUID)
	c.tenant(tenant, "organization_id")
	return one(ctx, q, tenant, scanDelegation, selectDelegations+c.where(), c.args...)
}

// DelegationFilter chooses delegations. Zero fields choose all.
type DelegationFilter struct {
	DelegatorID domain.AgentID
	DelegateeID domain.AgentID
	Page        Page
}

// Delegations lists delegations, newest first, revoked and expired ones
// included.
func (q *Queries) Delegations(ctx context.Context, tenant Tenant, f DelegationFilter) (List[domain.Delegation], error) {
	var c conditions
	c.tenant(tenant, "organization_id")
	if !f.DelegatorID.IsZero() {
		c.add("delegator_agent_id = ?", f.DelegatorID.UUID)
	}
	if !f.DelegateeID.IsZero() {
		c.add("delegatee_agent_id = ?", f.DelegateeID.UUID)
	}
	return list(ctx, q, tenant, scanDelegation, f.Page, selectDelegations, countDelegations, c, newestDelegations)
}
