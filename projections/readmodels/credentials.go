package readmodels

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
)

// Credentials is the projection behind the lists of credentials.
func Credentials() projections.Projection {
	return projections.Projection{
		Name: "credentials", Version: 1, Core: true, Tables: []string{"credentials", "credential_eras"},
		Types: slices.Concat(domain.TypesChanging(domain.CredentialNoun), domain.TypesEndingCredentials()),
		Apply: credentialFold{fold[Credential]{
			what:   "credential",
			about:  func(e domain.Event) uuid.UUID { return domain.About(e).Credential.UUID },
			begins: is[domain.CredentialGenerated],
			evolve: Credential.evolve,
			load:   selectCredentials + ` WHERE credential_id = ANY($1)`,
			scan:   scanCredential,
			id:     func(c Credential) uuid.UUID { return c.ID.UUID },
			store:  storeCredentials,
		}}.apply,
	}
}

// Credential is a credential and whose it is. It knows when and what, and public
// keys, but nothing to authenticate with.
type Credential struct {
	AgentID        domain.AgentID
	OrganizationID domain.OrganizationID
	domain.Credential
}

// evolve lets the agent say what an event makes of its credential.
func (c Credential) evolve(e follow.Event) Credential {
	var agent domain.Agent
	if c.ID.IsZero() {
		c.AgentID, c.OrganizationID.UUID = domain.About(e.Fact).Agent, e.Organization
	} else {
		agent.Credentials = []domain.Credential{c.Credential}
	}
	c.Credential = agent.Evolve(e.Fact, e.Time).Credentials[0]
	return c
}

const credentialColumns = `credential_id, agent_id, organization_id, kind, status, public_jwk,
	created_position, changed_position, created_at, rotated_at, revoked_at, expires_at`

func scanCredential(columns pgx.CollectableRow) (r row[Credential], err error) {
	var jwk *string
	var rotated, revoked, expires *time.Time
	c := &r.thing
	err = columns.Scan(&c.ID.UUID, &c.AgentID.UUID, &c.OrganizationID.UUID, (*string)(&c.Kind), (*string)(&c.Status), &jwk,
		(*uint64)(&r.created), (*uint64)(&r.changed), &c.CreatedAt, &rotated, &revoked, &expires)
	if jwk != nil {
		c.PublicKey = json.RawMessage(*jwk)
	}
	c.CreatedAt = c.CreatedAt.UTC()
	c.RotatedAt, c.RevokedAt, c.ExpiresAt = timeOrZero(rotated), timeOrZero(revoked), timeOrZero(expires)
	return r, err
}

const storeCredentialRows = `INSERT INTO credentials AS c (` + credentialColumns + `)
	SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
		$9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[])
	ON CONFLICT (credential_id) DO UPDATE
		SET (status, public_jwk, changed_position, rotated_at, revoked_at, expires_at)
		= (excluded.status, excluded.public_jwk, excluded.changed_position, excluded.rotated_at, excluded.revoked_at,
		excluded.expires_at)
	WHERE c.changed_position < excluded.changed_position`

func storeCredentials(ctx context.Context, tx pgx.Tx, rows []*row[Credential]) error {
	times := func(field func(*row[Credential]) time.Time) pgtype.FlatArray[*time.Time] {
		return column(rows, func(r *row[Credential]) *time.Time { return optionalTime(field(r)) })
	}
	_, err := tx.Exec(ctx, storeCredentialRows,
		column(rows, func(r *row[Credential]) pgtype.UUID { return dbID(r.thing.ID.UUID) }),
		column(rows, func(r *row[Credential]) pgtype.UUID { return dbID(r.thing.AgentID.UUID) }),
		column(rows, func(r *row[Credential]) pgtype.UUID { return dbID(r.thing.OrganizationID.UUID) }),
		column(rows, func(r *row[Credential]) string { return string(r.thing.Kind) }),
		column(rows, func(r *row[Credential]) string { return string(r.thing.Status) }),
		column(rows, func(r *row[Credential]) *string { return optionalText(r.thing.PublicKey) }),
		column(rows, func(r *row[Credential]) int64 { return int64(r.created) }),
		column(rows, func(r *row[Credential]) int64 { return int64(r.changed) }),
		times(func(r *row[Credential]) time.Time { return r.thing.CreatedAt }),
		times(func(r *row[Credential]) time.Time { return r.thing.RotatedAt }),
		times(func(r *row[Credential]) time.Time { return r.thing.RevokedAt }),
		times(func(r *row[Credential]) time.Time { return r.thing.ExpiresAt }),
	)
	return err
}

const (
	selectCredentials = `SELECT ` + credentialColumns + ` FROM credentials`
	countCredentials  = `SELECT count(*) FROM credentials`
	newestCredentials = ` ORDER BY created_position DESC`
)

// Credential finds a credential. The error is [ErrNotFound] when the tenant
// has none with this id.
func (q *Queries) Credential(ctx context.Context, tenant Tenant, id domain.CredentialID) (Credential, error) {
	var c conditions
	c.add("credential_id = ?", id.UUID)
	c.tenant(tenant, "organization_id")
	return one(ctx, q, tenant, shown(scanCredential), selectCredentials+c.where(), c.args...)
}

// CredentialFilter chooses credentials of an agent.
type CredentialFilter struct {
	AgentID domain.AgentID
	Status  domain.CredentialStatus // "" for all
	At      time.Time               // when the status is asked for: what has expired by then is not active
	Page    Page
}

// Credentials lists the credentials of an agent, newest first.
func (q *Queries) Credentials(ctx context.Context, tenant Tenant, f CredentialFilter) (List[Credential], error) {
	var c conditions
	c.add("agent_id = ?", f.AgentID.UUID)
	c.tenant(tenant, "organization_id")
	switch f.Status {
	case "":
	case domain.CredentialActive:
		c.add("status = 'active' AND (expires_at IS NULL OR expires_at > ?)", f.At)
	case domain.CredentialIsExpired:
		c.add("(status = 'expired' OR status = 'active' AND expires_at <= ?)", f.At)
	default:
		c.add("status = ?", string(f.Status))
	}
	return list(ctx, q, tenant, shown(scanCredential), f.Page, selectCredentials, countCredentials, c, newestCredentials)
}

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
