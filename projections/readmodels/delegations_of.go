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
