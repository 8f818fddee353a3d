package readmodels

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
)

const delegationColumns = `chain_id, organization_id, delegator_agent_id, delegatee_agent_id, parent_chain_id, scopes,
	ttl_seconds, max_depth, depth, created_position, changed_position, created_at, expires_at, revoked_at, credential_id`

// scanDelegationRow reads the columns, and into more what follows them.
func scanDelegationRow(row pgx.CollectableRow, more ...any) (d delegationRow, err error) {
	var parent, credential *uuid.UUID
	var scopes []string
	var revoked *time.Time
	fields := []any{&d.ID.UUID, &d.OrganizationID.UUID, &d.DelegatorID.UUID, &d.DelegateeID.UUID, &parent, &scopes,
		&d.TTLSeconds, &d.MaxDepth, &d.Depth, (*uint64)(&d.created), (*uint64)(&d.changed), &d.CreatedAt, &d.ExpiresAt, &revoked, &credential}
	err = row.Scan(append(fields, more...)...)
	if parent != nil {
		d.ParentID.UUID = *parent
	}
	if credential != nil {
		d.CredentialID.UUID = *credential
	}
	d.Scopes = make(domain.Scopes, len(scopes))
	for i, s := range scopes {
		d.Scopes[i] = domain.Scope(s)
	}
	d.CreatedAt, d.ExpiresAt, d.RevokedAt = d.CreatedAt.UTC(), d.ExpiresAt.UTC(), timeOrZero(revoked)
	return d, err
}

// Delegation is a delegation with what has become of it.
type Delegation struct {
	domain.Delegation
	// EndedAt is when it was ended before its time, by itself or with one above
	// it; zero when it was not. Its own RevokedAt tells of itself and its credential.
	EndedAt time.Time
	Status  DelegationStatus
}

// DelegationStatus is where a delegation is in its life.
type DelegationStatus string

const (
	DelegationActive    DelegationStatus = "active"
	DelegationIsExpired DelegationStatus = "expired"
	DelegationIsRevoked DelegationStatus = "revoked"
)

// DelegationRole is an agent's part in a delegation.
type DelegationRole string

const (
	AsDelegator DelegationRole = "delegator"
	AsDelegatee DelegationRole = "delegatee"
)

// The status follows from the rows of a link and of those above it, of which
// there are [domain.MaxDelegationDepth] at most.
const (
	fromDelegations = ` FROM (
		SELECT d.*, CASE WHEN e.ended_at < d.expires_at THEN e.ended_at END AS ended_at,
			CASE WHEN e.ended_at < d.expires_at THEN 'revoked' WHEN d.expires_at <= $1 THEN 'expired' ELSE 'active' END AS status
		FROM delegations d
		LEFT JOIN delegations above1 ON above1.chain_id = d.parent_chain_id
		LEFT JOIN delegations above2 ON above2.chain_id = above1.parent_chain_id
		LEFT JOIN delegations above3 ON above3.chain_id = above2.parent_chain_id
		CROSS JOIN LATERAL (SELECT least(d.revoked_at, above1.revoked_at, above2.revoked_at, above3.revoked_at) AS ended_at) e
	) d`
	selectDelegations = `SELECT ` + delegationColumns + `, ended_at, status` + fromDelegations
	countDelegations  = `SELECT count(*)` + fromDelegations
	newestDelegations = ` ORDER BY created_position DESC`
)

func scanDelegation(row pgx.CollectableRow) (d Delegation, err error) {
	var ended *time.Time
	scanned, err := scanDelegationRow(row, &ended, (*string)(&d.Status))
	d.Delegation, d.EndedAt = scanned.Delegation, timeOrZero(ended)
	return d, err
}

// Delegation finds a delegation, with its status at a time. The error is
// [ErrNotFound] when the tenant has none with this id.
func (q *Queries) Delegation(ctx context.Context, tenant Tenant, id domain.DelegationID, at time.Time) (Delegation, error) {
	c := conditions{args: []any{at}}
	c.add("chain_id = ?", id.UUID)
	c.tenant(tenant, "organization_id")
	return one(ctx, q, tenant, scanDelegation, selectDelegations+c.where(), c.args...)
}

// DelegationFilter chooses delegations. Zero fields choose all.
type DelegationFilter struct {
	AgentID domain.AgentID
	Role    DelegationRole      // that the agent has; "": either
	Under   domain.DelegationID // this one and those right below it
	Status  DelegationStatus
	At      time.Time // the time that the status is for
	Page    Page
}

// Delegations lists delegations, newest first.
func (q *Queries) Delegations(ctx context.Context, tenant Tenant, f DelegationFilter) (List[Delegation], error) {
	c := conditions{args: []any{f.At}}
	c.tenant(tenant, "organization_id")
	switch {
	case f.AgentID.IsZero():
	case f.Role == AsDelegator:
		c.add("delegator_agent_id = ?", f.AgentID.UUID)
	case f.Role == AsDelegatee:
		c.add("delegatee_agent_id = ?", f.AgentID.UUID)
	default:
		c.add("(delegator_agent_id = ? OR delegatee_agent_id = ?)", f.AgentID.UUID, f.AgentID.UUID)
	}
	if !f.Under.IsZero() {
		c.add("(chain_id = ? OR parent_chain_id = ?)", f.Under.UUID, f.Under.UUID)
	}
	if f.Status != "" {
		c.add("status = ?", string(f.Status))
	}
	return list(ctx, q, tenant, scanDelegation, f.Page, selectDelegations, countDelegations, c, newestDelegations)
}
