package readmodels

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
)

const (
	agentsWithExpired = `SELECT DISTINCT agent_id FROM credentials
		WHERE status = 'active' AND expires_at IS NOT NULL AND expires_at <= $1 AND agent_id > $2
		ORDER BY agent_id LIMIT $3`

	countExpiring = `SELECT count(*) FROM credentials
		WHERE status = 'active' AND expires_at IS NOT NULL AND expires_at > $1 AND expires_at <= $2`
)

// AgentsWithExpired lists agents of every organization that have active
// credentials whose time had run out: in the order of their ids, those after one.
func (q *Queries) AgentsWithExpired(ctx context.Context, by time.Time, after domain.AgentID, limit int) (found []domain.AgentID, err error) {
	batch := &pgx.Batch{}
	batch.Queue(enter, q.role(AllOrganizations), AllOrganizations.setting())
	batch.Queue(agentsWithExpired, by, after.UUID, limit).Query(func(rows pgx.Rows) error {
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		for _, id := range ids {
			found = append(found, domain.AgentID{UUID: id})
		}
		return err
	})
	return found, q.ask(ctx, batch)
}

// CredentialsExpiring counts active credentials of every organization whose
// time runs out in (from, to].
func (q *Queries) CredentialsExpiring(ctx context.Context, from, to time.Time) (int64, error) {
	return one(ctx, q, AllOrganizations, pgx.RowTo[int64], countExpiring, from, to)
}
