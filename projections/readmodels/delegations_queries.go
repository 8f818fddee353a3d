package readmodels

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/eventstore"
)

// Delegation is a delegation with what has become of it.
type Delegation struct {
	domain.Delegation
	// EndedAt is when it was ended before its time, by itself or with one above
	// it; zero when it was not. Its own RevokedAt is of itself and its credential.
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

func scanShownDelegation(columns pgx.CollectableRow) (d Delegation, err error) {
	var ended *time.Time
	r, err := scanDelegation(columns, &ended, (*string)(&d.Status))
	d.Delegation, d.EndedAt = r.thing, timeOrZero(ended)
	return d, err
}

// Delegation finds a delegation, with its status at a time. The error is
// [ErrNotFound] when the tenant has none with this id.
func (q *Queries) Delegation(ctx context.Context, tenant Tenant, id domain.DelegationID, at time.Time) (Delegation, error) {
	c := conditions{args: []any{at}}
	c.add("chain_id = ?", id.UUID)
	c.tenant(tenant, "organization_id")
	return one(ctx, q, tenant, scanShownDelegation, selectDelegations+c.where(), c.args...)
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
	return list(ctx, q, tenant, scanShownDelegation, f.Page, selectDelegations, countDelegations, c, newestDelegations)
}

// PartIn chooses delegations that an agent had part in, as the delegator or as
// the delegatee.
type PartIn struct {
	AgentID   domain.AgentID
	CreatedBy time.Time           // made at this time or before; zero: no bound
	Position  eventstore.Position // made at this position or before; 0: no bound
	EndsAfter time.Time           // only those whose time runs out after this
	Limit     int                 // the newest of them
}

// DelegationIDs is what [Queries.DelegationsOf] finds.
type DelegationIDs struct {
	IDs   []domain.DelegationID // newest first
	Total int                   // without the limit
	// Position is up to where the read model knew the ledger at least.
	Position eventstore.Position
}

const (
	delegationsKnown   = `SELECT position FROM projection_checkpoints WHERE name = 'delegations'`
	delegationIDs      = `SELECT chain_id FROM delegations`
	countDelegationIDs = `SELECT count(*) FROM delegations`
)

// DelegationsOf lists the ids of delegations. What became of each is for their
// streams to tell: this only spares reading the ledger to find them.
func (q *Queries) DelegationsOf(ctx context.Context, tenant Tenant, f PartIn) (found DelegationIDs, err error) {
	var c conditions
	c.tenant(tenant, "organization_id")
	c.add("(delegator_agent_id = ? OR delegatee_agent_id = ?)", f.AgentID.UUID, f.AgentID.UUID)
	c.add("expires_at > ?", f.EndsAfter)
	if !f.CreatedBy.IsZero() {
		c.add("created_at <= ?", f.CreatedBy)
	}
	if f.Position > 0 {
		c.add("created_position <= ?", int64(f.Position))
	}
	batch := &pgx.Batch{}
	batch.Queue(enterToSearch, q.role(tenant), tenant.setting())
	// Asked first: what the list is later than this the caller can do without.
	batch.Queue(delegationsKnown).QueryRow(func(row pgx.Row) error {
		if err := row.Scan((*uint64)(&found.Position)); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return nil // it has never run
	})
	batch.Queue(countDelegationIDs+c.where(), c.args...).QueryRow(func(row pgx.Row) error { return row.Scan(&found.Total) })
	newest := fmt.Sprintf("%s%s%s LIMIT %d", delegationIDs, c.where(), newestDelegations, f.Limit)
	batch.Queue(newest, c.args...).Query(func(rows pgx.Rows) error {
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		for _, id := range ids {
			found.IDs = append(found.IDs, domain.DelegationID{UUID: id})
		}
		return err
	})
	return found, q.ask(ctx, batch)
}
