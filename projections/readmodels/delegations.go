package readmodels

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
)

// Delegations is the projection behind the lists of what agents have lent each
// other. Whether one can be used is for the index of revocations to say.
func Delegations() projections.Projection {
	return projections.Projection{
		Name: "delegations", Version: 2, Core: true, Tables: []string{"delegations", "ended_credentials"},
		// A delegation may end with the credential that it was made with, and with all
		// access of its agents.
		Types: slices.Concat(domain.TypesChanging(domain.DelegationNoun), domain.TypesEndingDelegations()),
		Apply: delegationFold{fold[domain.Delegation]{
			what:   "delegation",
			about:  func(e domain.Event) uuid.UUID { return domain.About(e).Delegation.UUID },
			begins: is[domain.DelegationCreated],
			load: `SELECT ` + delegationColumns + ` FROM delegations
				WHERE chain_id = ANY($1) OR credential_id = ANY($2) AND revoked_at IS NULL AND expires_at > $3`,
			scan:  func(columns pgx.CollectableRow) (row[domain.Delegation], error) { return scanDelegation(columns) },
			id:    func(d domain.Delegation) uuid.UUID { return d.ID.UUID },
			store: storeDelegations,
		}}.applyAll,
	}
}

// delegationFold also knows the delegations that an event ends with a credential,
// and with all access of an agent or an organization.
type delegationFold struct{ fold[domain.Delegation] }

const (
	endLent = `UPDATE delegations SET (revoked_at, changed_position) = ($2, $3)
		WHERE revoked_at IS NULL AND expires_at > $2 AND created_position < $3 AND changed_position < $3 AND `
	endAgentsLent        = endLent + `(delegator_agent_id = $1 OR delegatee_agent_id = $1)`
	endOrganizationsLent = endLent + `organization_id = $1`
)

func (f delegationFold) applyAll(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	endsAll := func(e domain.Event) bool { return domain.EndingOf(e).Delegations }
	for stretch := range stretches(events, endsAll) {
		first := stretch[0]
		if !endsAll(first.Fact) {
			if err := f.apply(ctx, tx, stretch); err != nil {
				return err
			}
			continue
		}
		sql, owner := ofOwner(first.Fact, endAgentsLent, endOrganizationsLent)
		if _, err := tx.Exec(ctx, sql, owner, first.Time, first.Position); err != nil {
			return err
		}
	}
	return nil
}

func (f delegationFold) apply(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	rows, err := f.rows(ctx, tx,
		column(events, func(e follow.Event) pgtype.UUID { return dbID(f.about(e.Fact)) }),
		column(events, func(e follow.Event) pgtype.UUID { return dbID(domain.EndedWith(e.Fact).UUID) }),
		slices.MinFunc(events, func(a, b follow.Event) int { return a.Time.Compare(b.Time) }).Time)
	if err != nil {
		return err
	}
	ends, err := loadCredentialEnds(ctx, tx, events)
	if err != nil {
		return err
	}
	madeWith := make(map[domain.CredentialID][]*row[domain.Delegation])
	for _, r := range rows {
		madeWith[r.thing.CredentialID] = append(madeWith[r.thing.CredentialID], r)
	}
	changed := make(map[uuid.UUID]*row[domain.Delegation])
	for _, e := range events {
		if f.about(e.Fact) == uuid.Nil {
			ends.note(e)
			for _, r := range madeWith[domain.EndedWith(e.Fact)] {
				if ended := r.thing.Evolve(e.Fact, e.Time); r.created < e.Position && ended.RevokedAt != r.thing.RevokedAt && r.takes(e) {
					r.thing = ended
					changed[r.thing.ID.UUID] = r
				}
			}
			continue
		}
		r, err := f.rowOf(rows, e)
		if err != nil {
			return err
		}
		if r.takes(e) {
			r.thing = ends.after(r.thing, e)
			changed[r.thing.ID.UUID] = r
		}
		if f.begins(e.Fact) {
			madeWith[r.thing.CredentialID] = append(madeWith[r.thing.CredentialID], r)
		}
	}
	if err := storeEnds(ctx, tx, events); err != nil {
		return err
	}
	return f.save(ctx, tx, changed)
}

const delegationColumns = `chain_id, organization_id, delegator_agent_id, delegatee_agent_id, parent_chain_id, scopes,
	ttl_seconds, max_depth, depth, created_position, changed_position, created_at, expires_at, revoked_at, credential_id`

// scanDelegation reads the columns, and into more what follows them.
func scanDelegation(columns pgx.CollectableRow, more ...any) (r row[domain.Delegation], err error) {
	var parent, credential *uuid.UUID
	var scopes []string
	var revoked *time.Time
	d := &r.thing
	fields := []any{&d.ID.UUID, &d.OrganizationID.UUID, &d.DelegatorID.UUID, &d.DelegateeID.UUID, &parent, &scopes,
		&d.TTLSeconds, &d.MaxDepth, &d.Depth, (*uint64)(&r.created), (*uint64)(&r.changed), &d.CreatedAt, &d.ExpiresAt, &revoked, &credential}
	err = columns.Scan(append(fields, more...)...)
	d.ParentID.UUID, d.CredentialID.UUID, d.Scopes = valueOf(parent), valueOf(credential), scopesOf(scopes)
	d.CreatedAt, d.ExpiresAt, d.RevokedAt = d.CreatedAt.UTC(), d.ExpiresAt.UTC(), timeOrZero(revoked)
	return r, err
}

const storeDelegationRows = `INSERT INTO delegations AS d (` + delegationColumns + `)
	SELECT e.chain_id, e.organization_id, e.delegator, e.delegatee, e.parent, string_to_array(e.scopes, ' '), e.ttl_seconds,
		e.max_depth, e.depth, e.created_position, e.changed_position, e.created_at, e.expires_at, e.revoked_at, e.credential_id
	FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::int[], $8::int[], $9::int[],
		$10::bigint[], $11::bigint[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::uuid[])
		AS e(chain_id, organization_id, delegator, delegatee, parent, scopes, ttl_seconds, max_depth, depth,
		created_position, changed_position, created_at, expires_at, revoked_at, credential_id)
	ON CONFLICT (chain_id) DO UPDATE
		SET (changed_position, revoked_at) = (excluded.changed_position, excluded.revoked_at)
	WHERE d.changed_position < excluded.changed_position`

func storeDelegations(ctx context.Context, tx pgx.Tx, rows []*row[domain.Delegation]) error {
	ids := func(field func(*row[domain.Delegation]) uuid.UUID) pgtype.FlatArray[pgtype.UUID] {
		return column(rows, func(r *row[domain.Delegation]) pgtype.UUID { return dbID(field(r)) })
	}
	numbers := func(field func(*row[domain.Delegation]) int) pgtype.FlatArray[int32] {
		return column(rows, func(r *row[domain.Delegation]) int32 { return int32(field(r)) })
	}
	_, err := tx.Exec(ctx, storeDelegationRows,
		ids(func(r *row[domain.Delegation]) uuid.UUID { return r.thing.ID.UUID }),
		ids(func(r *row[domain.Delegation]) uuid.UUID { return r.thing.OrganizationID.UUID }),
		ids(func(r *row[domain.Delegation]) uuid.UUID { return r.thing.DelegatorID.UUID }),
		ids(func(r *row[domain.Delegation]) uuid.UUID { return r.thing.DelegateeID.UUID }),
		ids(func(r *row[domain.Delegation]) uuid.UUID { return r.thing.ParentID.UUID }),
		column(rows, func(r *row[domain.Delegation]) string { return joined(r.thing.Scopes) }),
		numbers(func(r *row[domain.Delegation]) int { return r.thing.TTLSeconds }),
		numbers(func(r *row[domain.Delegation]) int { return r.thing.MaxDepth }),
		numbers(func(r *row[domain.Delegation]) int { return r.thing.Depth }),
		column(rows, func(r *row[domain.Delegation]) int64 { return int64(r.created) }),
		column(rows, func(r *row[domain.Delegation]) int64 { return int64(r.changed) }),
		column(rows, func(r *row[domain.Delegation]) time.Time { return r.thing.CreatedAt }),
		column(rows, func(r *row[domain.Delegation]) time.Time { return r.thing.ExpiresAt }),
		column(rows, func(r *row[domain.Delegation]) *time.Time { return optionalTime(r.thing.RevokedAt) }),
		ids(func(r *row[domain.Delegation]) uuid.UUID { return r.thing.CredentialID.UUID }),
	)
	return err
}

// credentialEnds has at which revision of its agent's stream a credential ended
// the delegations made with it last. A delegation may come to the ledger after
// that and have been made before it.
type credentialEnds map[domain.CredentialID]int64

const (
	selectCredentialEnds = `SELECT credential_id, revision FROM ended_credentials WHERE credential_id = ANY($1)`
	storeCredentialEnds  = `INSERT INTO ended_credentials AS e (credential_id, organization_id, revision)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[])
		ON CONFLICT (credential_id) DO UPDATE SET revision = excluded.revision WHERE e.revision < excluded.revision`
)

// loadCredentialEnds gives those of the credentials that the events make
// delegations with.
func loadCredentialEnds(ctx context.Context, tx pgx.Tx, events []follow.Event) (credentialEnds, error) {
	var ids pgtype.FlatArray[pgtype.UUID]
	for _, e := range events {
		if made, ok := e.Fact.(domain.DelegationCreated); ok && made.CredentialRevision > 0 {
			ids = append(ids, dbID(made.CredentialID.UUID))
		}
	}
	ends := make(credentialEnds)
	if len(ids) == 0 {
		return ends, nil
	}
	rows, err := tx.Query(ctx, selectCredentialEnds, ids)
	if err != nil {
		return nil, err
	}
	var id domain.CredentialID
	var revision int64
	_, err = pgx.ForEachRow(rows, []any{&id.UUID, &revision}, func() error {
		ends[id] = revision
		return nil
	})
	return ends, err
}

// note takes an event that ends what was made with a credential.
func (c credentialEnds) note(e follow.Event) {
	if id := domain.EndedWith(e.Fact); !id.IsZero() {
		c[id] = max(c[id], e.Revision)
	}
}

// after is a delegation after an event of its own: ended at once where it has just
// been made with a credential that had ended while it was under way.
func (c credentialEnds) after(d domain.Delegation, e follow.Event) domain.Delegation {
	d = d.Evolve(e.Fact, e.Time)
	if _, isFirst := e.Fact.(domain.DelegationCreated); isFirst && d.EndsWith(c[d.CredentialID], false) {
		d.RevokedAt = d.CreatedAt
	}
	return d
}

// storeEnds stores which credentials the events end, each by its newest.
func storeEnds(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	newest := make(map[domain.CredentialID]follow.Event)
	for _, e := range events {
		if id := domain.EndedWith(e.Fact); !id.IsZero() {
			newest[id] = e
		}
	}
	if len(newest) == 0 {
		return nil
	}
	ended := slices.Collect(maps.Values(newest))
	_, err := tx.Exec(ctx, storeCredentialEnds,
		column(ended, func(e follow.Event) pgtype.UUID { return dbID(domain.EndedWith(e.Fact).UUID) }),
		column(ended, func(e follow.Event) pgtype.UUID { return dbID(e.Organization) }),
		column(ended, func(e follow.Event) int64 { return e.Revision }))
	return err
}
