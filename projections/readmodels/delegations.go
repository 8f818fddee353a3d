package readmodels

import (
	"context"
	"fmt"
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
		Name: "delegations", Version: 2, Core: true, Tables: []string{"delegations", "ended_credentials"}, Apply: applyDelegations,
		// A delegation may end with the credential that it was made with.
		Types: slices.Concat(domain.TypesChanging(domain.DelegationNoun), domain.TypesEnding(domain.CredentialNoun)),
	}
}

// delegationRow is a row of the table while events are folded into it, by the
// aggregate itself.
type delegationRow struct {
	place
	domain.Delegation
}

func applyDelegations(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	rows, err := loadDelegations(ctx, tx, events)
	if err != nil {
		return err
	}
	ends, err := loadCredentialEnds(ctx, tx, events)
	if err != nil {
		return err
	}
	madeWith := make(map[domain.CredentialID][]*delegationRow)
	for _, row := range rows {
		madeWith[row.CredentialID] = append(madeWith[row.CredentialID], row)
	}
	changed := make(map[domain.DelegationID]*delegationRow)
	for _, e := range events {
		if id := domain.About(e.Fact).Delegation; id.IsZero() {
			ends.note(e)
			for _, row := range madeWith[domain.EndedWith(e.Fact)] {
				if ended := row.Evolve(e.Fact, e.Time); row.created < e.Position && ended.RevokedAt != row.RevokedAt && row.take(e) {
					row.Delegation = ended
					changed[row.ID] = row
				}
			}
			continue
		}
		row, err := changedRow(rows, e)
		if err != nil {
			return err
		}
		if row.take(e) {
			row.Delegation = ends.after(row.Delegation, e)
			changed[row.ID] = row
		}
		if _, isFirst := e.Fact.(domain.DelegationCreated); isFirst {
			madeWith[row.CredentialID] = append(madeWith[row.CredentialID], row)
		}
	}
	if err := storeEnds(ctx, tx, events); err != nil {
		return err
	}
	return storeDelegations(ctx, tx, slices.Collect(maps.Values(changed)))
}

// changedRow is the row of the delegation that an event is about, an empty one
// where the event is its first.
func changedRow(rows map[domain.DelegationID]*delegationRow, e follow.Event) (*delegationRow, error) {
	id := domain.About(e.Fact).Delegation
	row := rows[id]
	if row == nil {
		if _, isFirst := e.Fact.(domain.DelegationCreated); !isFirst {
			return nil, fmt.Errorf("%s of delegation %s: %w", e.Type, id, errNoBeginning)
		}
		row = &delegationRow{}
		rows[id] = row
	}
	return row, nil
}

const selectDelegationRows = `SELECT ` + delegationColumns + ` FROM delegations d
	WHERE chain_id = ANY($1) OR credential_id = ANY($2) AND revoked_at IS NULL AND expires_at > $3`

// loadDelegations gives the delegations that the events are about, and those
// that they may end with a credential.
func loadDelegations(ctx context.Context, tx pgx.Tx, events []follow.Event) (map[domain.DelegationID]*delegationRow, error) {
	rows, err := tx.Query(ctx, selectDelegationRows,
		column(events, func(e follow.Event) pgtype.UUID { return dbID(domain.About(e.Fact).Delegation.UUID) }),
		column(events, func(e follow.Event) pgtype.UUID { return dbID(domain.EndedWith(e.Fact).UUID) }),
		slices.MinFunc(events, func(a, b follow.Event) int { return a.Time.Compare(b.Time) }).Time)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[domain.DelegationID]*delegationRow, len(events))
	for rows.Next() {
		d, err := scanDelegationRow(rows)
		if err != nil {
			return nil, err
		}
		found[d.ID] = &d
	}
	return found, rows.Err()
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

func storeDelegations(ctx context.Context, tx pgx.Tx, rows []*delegationRow) error {
	if len(rows) == 0 {
		return nil
	}
	ids := func(field func(*delegationRow) uuid.UUID) pgtype.FlatArray[pgtype.UUID] {
		return column(rows, func(r *delegationRow) pgtype.UUID { return dbID(field(r)) })
	}
	numbers := func(field func(*delegationRow) int) pgtype.FlatArray[int32] {
		return column(rows, func(r *delegationRow) int32 { return int32(field(r)) })
	}
	_, err := tx.Exec(ctx, storeDelegationRows,
		ids(func(r *delegationRow) uuid.UUID { return r.ID.UUID }),
		ids(func(r *delegationRow) uuid.UUID { return r.OrganizationID.UUID }),
		ids(func(r *delegationRow) uuid.UUID { return r.DelegatorID.UUID }),
		ids(func(r *delegationRow) uuid.UUID { return r.DelegateeID.UUID }),
		ids(func(r *delegationRow) uuid.UUID { return r.ParentID.UUID }),
		column(rows, func(r *delegationRow) string { return joined(r.Scopes) }),
		numbers(func(r *delegationRow) int { return r.TTLSeconds }),
		numbers(func(r *delegationRow) int { return r.MaxDepth }),
		numbers(func(r *delegationRow) int { return r.Depth }),
		column(rows, func(r *delegationRow) int64 { return int64(r.created) }),
		column(rows, func(r *delegationRow) int64 { return int64(r.changed) }),
		column(rows, func(r *delegationRow) time.Time { return r.CreatedAt }),
		column(rows, func(r *delegationRow) time.Time { return r.ExpiresAt }),
		column(rows, func(r *delegationRow) *time.Time { return optionalTime(r.RevokedAt) }),
		ids(func(r *delegationRow) uuid.UUID { return r.CredentialID.UUID }),
	)
	return err
}
