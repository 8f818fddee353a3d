package readmodels

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
)

// Identities is what is found when the active agents of a tenant are held to
// what makes an identity.
type Identities struct {
	Agents     int // active
	Sound      int // with a DID document and without an expired credential
	WithoutDID int
	MissingDID []domain.AgentID    // the first of those without a document
	Expired    []CredentialExpires // neither rotated nor revoked since; the first of them
	Expiring   []CredentialExpires // within the time asked for; the first of them
}

// CredentialExpires is a credential whose time runs out.
type CredentialExpires struct {
	AgentID      domain.AgentID
	CredentialID domain.CredentialID
	At           time.Time
}

const (
	countIdentities = `SELECT count(*), count(*) FILTER (WHERE d.agent_id IS NULL),
			count(*) FILTER (WHERE d.agent_id IS NOT NULL AND NOT EXISTS (SELECT FROM credentials c
				WHERE c.agent_id = a.agent_id AND c.status <> 'revoked' AND c.expires_at <= $2))
		FROM agents a LEFT JOIN dids d ON d.agent_id = a.agent_id WHERE a.organization_id = $1 AND a.status = 'active'`

	agentsWithoutDID = `SELECT a.agent_id FROM agents a
		WHERE a.organization_id = $1 AND a.status = 'active' AND NOT EXISTS (SELECT FROM dids d WHERE d.agent_id = a.agent_id)
		ORDER BY a.created_position LIMIT $2`

	credentialsEnding = `SELECT c.agent_id, c.credential_id, c.expires_at FROM credentials c
		JOIN agents a ON a.agent_id = c.agent_id
		WHERE a.organization_id = $1 AND a.status = 'active' AND c.status <> 'revoked' AND c.expires_at > $2 AND c.expires_at <= $3
		ORDER BY c.expires_at LIMIT $4`
)

// Identities looks at the active agents of an organization, and names at most
// limit of each fault. Credentials are expiring that end in (at, soon].
func (q *Queries) Identities(ctx context.Context, id domain.OrganizationID, at, soon time.Time, limit int) (found Identities, err error) {
	tenant := InOrganization(id)
	batch := &pgx.Batch{}
	batch.Queue(enter, q.role(tenant), tenant.setting())
	batch.Queue(countIdentities, id.UUID, at).QueryRow(func(row pgx.Row) error {
		return row.Scan(&found.Agents, &found.WithoutDID, &found.Sound)
	})
	batch.Queue(agentsWithoutDID, id.UUID, limit).Query(func(rows pgx.Rows) error {
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		for _, id := range ids {
			found.MissingDID = append(found.MissingDID, domain.AgentID{UUID: id})
		}
		return err
	})
	ending := func(from, to time.Time, into *[]CredentialExpires) {
		batch.Queue(credentialsEnding, id.UUID, from, to, limit).Query(func(rows pgx.Rows) (err error) {
			*into, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c CredentialExpires, err error) {
				err = row.Scan(&c.AgentID.UUID, &c.CredentialID.UUID, &c.At)
				c.At = c.At.UTC()
				return c, err
			})
			return err
		})
	}
	ending(time.Time{}, at, &found.Expired)
	ending(at, soon, &found.Expiring)
	return found, q.ask(ctx, batch)
}

const activeAgents = selectAgents + `WHERE a.organization_id = $1 AND a.status = 'active' ORDER BY a.created_position`

// ActiveAgents lists all active agents of an organization, the ones registered
// first first.
func (q *Queries) ActiveAgents(ctx context.Context, id domain.OrganizationID) (found []domain.Agent, err error) {
	tenant := InOrganization(id)
	batch := &pgx.Batch{}
	batch.Queue(enter, q.role(tenant), tenant.setting())
	batch.Queue(activeAgents, id.UUID).Query(func(rows pgx.Rows) (err error) {
		found, err = pgx.CollectRows(rows, scanShownAgent)
		return err
	})
	return found, q.ask(ctx, batch)
}
