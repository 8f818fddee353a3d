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

// DIDs is the projection behind DID documents. That a decommissioned agent has no
// key follows from the agent.
func DIDs() projections.Projection {
	return projections.Projection{
		Name: "dids", Version: 1, Core: true, Tables: []string{"dids"},
		Types: domain.TypesChanging(domain.DIDNoun),
		Apply: fold[did]{
			what:   "DID",
			about:  func(e domain.Event) uuid.UUID { return domain.About(e).Agent.UUID },
			begins: is[domain.DIDCreated],
			evolve: did.evolve,
			load:   `SELECT ` + didColumns + ` FROM dids WHERE agent_id = ANY($1)`,
			scan:   scanDID,
			id:     func(d did) uuid.UUID { return d.agent.UUID },
			store:  storeDIDs,
		}.apply,
	}
}

// did is the keys of an agent's DID, and whose it is.
type did struct {
	agent        domain.AgentID
	organization domain.OrganizationID
	keys         domain.DIDKeys
}

func (d did) evolve(e follow.Event) did {
	d.agent, d.organization.UUID = domain.About(e.Fact).Agent, e.Organization
	d.keys = d.keys.Evolve(e.Fact, e.Time)
	return d
}

const didColumns = `agent_id, organization_id, did, key_number, public_jwk::text, custody, key_created_at, retired::text,
	created_position, changed_position, created_at`

func scanDID(columns pgx.CollectableRow) (r row[did], err error) {
	k := &r.thing.keys
	var jwk, retired string
	err = columns.Scan(&r.thing.agent.UUID, &r.thing.organization.UUID, &k.DID, &k.Current.Number, &jwk, (*string)(&k.Current.Custody),
		&k.Current.CreatedAt, &retired, (*uint64)(&r.created), (*uint64)(&r.changed), &k.CreatedAt)
	if err != nil {
		return r, err
	}
	k.Current.PublicKey = json.RawMessage(jwk)
	k.Current.CreatedAt, k.CreatedAt = k.Current.CreatedAt.UTC(), k.CreatedAt.UTC()
	return r, json.Unmarshal([]byte(retired), &k.Retired)
}

const storeDIDRows = `INSERT INTO dids AS d (agent_id, organization_id, did, key_number, public_jwk, custody, key_created_at, retired,
		created_position, changed_position, created_at)
	SELECT e.agent_id, e.organization_id, e.did, e.key_number, e.public_jwk::json, e.custody, e.key_created_at, e.retired::json,
		e.created_position, e.changed_position, e.created_at
	FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::text[], $6::text[], $7::timestamptz[], $8::text[], $9::bigint[],
		$10::bigint[], $11::timestamptz[])
		AS e(agent_id, organization_id, did, key_number, public_jwk, custody, key_created_at, retired,
		created_position, changed_position, created_at)
	ON CONFLICT (agent_id) DO UPDATE SET (key_number, public_jwk, custody, key_created_at, retired, changed_position)
		= (excluded.key_number, excluded.public_jwk, excluded.custody, excluded.key_created_at, excluded.retired,
		excluded.changed_position)
	WHERE d.changed_position < excluded.changed_position`

func storeDIDs(ctx context.Context, tx pgx.Tx, rows []*row[did]) error {
	retired := make(pgtype.FlatArray[string], len(rows))
	for i, r := range rows {
		text, err := json.Marshal(r.thing.keys.Retired)
		if err != nil {
			return err
		}
		retired[i] = string(text)
	}
	text := func(field func(domain.DIDKeys) string) pgtype.FlatArray[string] {
		return column(rows, func(r *row[did]) string { return field(r.thing.keys) })
	}
	_, err := tx.Exec(ctx, storeDIDRows,
		column(rows, func(r *row[did]) pgtype.UUID { return dbID(r.thing.agent.UUID) }),
		column(rows, func(r *row[did]) pgtype.UUID { return dbID(r.thing.organization.UUID) }),
		text(func(k domain.DIDKeys) string { return k.DID }),
		column(rows, func(r *row[did]) int32 { return int32(r.thing.keys.Current.Number) }),
		text(func(k domain.DIDKeys) string { return string(k.Current.PublicKey) }),
		text(func(k domain.DIDKeys) string { return string(k.Current.Custody) }),
		column(rows, func(r *row[did]) time.Time { return r.thing.keys.Current.CreatedAt }),
		retired,
		column(rows, func(r *row[did]) int64 { return int64(r.created) }),
		column(rows, func(r *row[did]) int64 { return int64(r.changed) }),
		column(rows, func(r *row[did]) time.Time { return r.thing.keys.CreatedAt }),
	)
	return err
}

const selectIdentity = `SELECT ` + agentColumns + `, d.did, d.key_number, d.public_jwk::text, d.custody, d.key_created_at, d.retired::text, d.created_at
	FROM agents a LEFT JOIN dids d ON d.agent_id = a.agent_id WHERE a.agent_id = $1`

// Identity finds an agent with the keys of its DID, which are everybody's to see.
// The error is [ErrNotFound] when there is no such agent.
func (q *Queries) Identity(ctx context.Context, id domain.AgentID) (domain.Agent, error) {
	return one(ctx, q, AllOrganizations, scanIdentity, selectIdentity, id.UUID)
}

func scanIdentity(columns pgx.CollectableRow) (domain.Agent, error) {
	var did, jwk, custody, retired *string
	var number *int
	var keyCreated, created *time.Time
	r, err := scanAgent(columns, &did, &number, &jwk, &custody, &keyCreated, &retired, &created)
	if err != nil || did == nil {
		return r.thing, err
	}
	r.thing.Keys = domain.DIDKeys{DID: *did, CreatedAt: created.UTC(), Current: domain.DIDKey{
		Number: *number, PublicKey: json.RawMessage(*jwk), Custody: domain.KeyCustody(*custody), CreatedAt: keyCreated.UTC(),
	}}
	if err := json.Unmarshal([]byte(*retired), &r.thing.Keys.Retired); err != nil {
		return r.thing, err
	}
	if r.thing.Status == domain.AgentIsGone { // nothing of it changes any more
		r.thing.Keys = r.thing.Keys.Ended(r.thing.UpdatedAt)
	}
	return r.thing, nil
}

const (
	agentsWithoutKeys = `SELECT a.agent_id FROM agents a
		WHERE a.status <> 'decommissioned' AND a.agent_id > $1 AND NOT EXISTS (SELECT FROM dids d WHERE d.agent_id = a.agent_id)
		ORDER BY a.agent_id LIMIT $2`

	keysInUse = `SELECT d.agent_id, d.public_jwk::text FROM dids d JOIN agents a ON a.agent_id = d.agent_id
		WHERE d.agent_id = ANY($1) AND a.status <> 'decommissioned'`
)

// AgentsWithoutDID lists agents of every organization that have no DID document
// and may have one: in the order of their ids, those after one.
func (q *Queries) AgentsWithoutDID(ctx context.Context, after domain.AgentID, limit int) (found []domain.AgentID, err error) {
	batch := &pgx.Batch{}
	batch.Queue(enter, q.role(AllOrganizations), AllOrganizations.setting())
	batch.Queue(agentsWithoutKeys, after.UUID, limit).Query(func(rows pgx.Rows) error {
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		for _, id := range ids {
			found = append(found, domain.AgentID{UUID: id})
		}
		return err
	})
	return found, q.ask(ctx, batch)
}

// DIDKeysInUse gives the keys that the DIDs of these agents have now, as JWKs; none
// for an agent that has none.
func (q *Queries) DIDKeysInUse(ctx context.Context, ids []domain.AgentID) (map[domain.AgentID]json.RawMessage, error) {
	inUse := make(map[domain.AgentID]json.RawMessage, len(ids))
	batch := &pgx.Batch{}
	batch.Queue(enter, q.role(AllOrganizations), AllOrganizations.setting())
	batch.Queue(keysInUse, column(ids, func(id domain.AgentID) pgtype.UUID { return dbID(id.UUID) })).Query(func(rows pgx.Rows) error {
		var id uuid.UUID
		var jwk string
		_, err := pgx.ForEachRow(rows, []any{&id, &jwk}, func() error {
			inUse[domain.AgentID{UUID: id}] = json.RawMessage(jwk)
			return nil
		})
		return err
	})
	return inUse, q.ask(ctx, batch)
}
