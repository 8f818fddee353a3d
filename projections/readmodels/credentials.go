package readmodels

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
)

// Credentials is the projection behind the lists of credentials. It knows when
// and what, and public keys, but nothing to authenticate with.
func Credentials() projections.Projection {
	return projections.Projection{
		Name: "credentials", Version: 1, Core: true, Tables: []string{"credentials"}, Apply: applyCredentials,
		Types: domain.TypesChanging(domain.CredentialNoun),
	}
}

type credentialRow struct {
	place
	Credential
}

func applyCredentials(ctx context.Context, tx pgx.Tx, events []follow.Event) error {
	rows, err := loadCredentials(ctx, tx, column(events, func(e follow.Event) pgtype.UUID { return dbID(domain.About(e.Fact).Credential.UUID) }))
	if err != nil {
		return err
	}
	changed := make(map[domain.CredentialID]*credentialRow)
	for _, e := range events {
		id := domain.About(e.Fact).Credential
		row := rows[id]
		if row == nil {
			first, isFirst := e.Fact.(domain.CredentialGenerated)
			if !isFirst {
				return fmt.Errorf("%s of credential %s: %w", e.Type, id, errNoBeginning)
			}
			row = &credentialRow{}
			row.AgentID, row.OrganizationID.UUID = first.AgentID, e.Organization
			rows[id] = row
		}
		if row.take(e) {
			row.evolve(e)
			changed[id] = row
		}
	}
	return storeCredentials(ctx, tx, slices.Collect(maps.Values(changed)))
}

// evolve lets the aggregate say what an event makes of the credential.
func (c *Credential) evolve(e follow.Event) {
	var agent domain.Agent
	if !c.ID.IsZero() {
		agent.Credentials = []domain.Credential{{
			ID: c.ID, Kind: c.Kind, Status: c.Status, PublicKey: c.PublicKey,
			CreatedAt: c.CreatedAt, RotatedAt: c.RotatedAt, RevokedAt: c.RevokedAt, ExpiresAt: c.ExpiresAt,
		}}
	}
	now := agent.Evolve(e.Fact, e.Time).Credentials[0]
	c.ID, c.Kind, c.Status, c.PublicKey = now.ID, now.Kind, now.Status, now.PublicKey
	c.CreatedAt, c.RotatedAt, c.RevokedAt, c.ExpiresAt = now.CreatedAt, now.RotatedAt, now.RevokedAt, now.ExpiresAt
}

const selectCredentialRows = `SELECT ` + credentialColumns + ` FROM credentials WHERE credential_id = ANY($1)`

func loadCredentials(ctx context.Context, tx pgx.Tx, ids pgtype.FlatArray[pgtype.UUID]) (map[domain.CredentialID]*credentialRow, error) {
	rows, err := tx.Query(ctx, selectCredentialRows, ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[domain.CredentialID]*credentialRow, len(ids))
	for rows.Next() {
		c, err := scanCredentialRow(rows)
		if err != nil {
			return nil, err
		}
		found[c.ID] = &c
	}
	return found, rows.Err()
}

const storeCredentialRows = `INSERT INTO credentials AS c (` + credentialColumns + `)
	SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
		$9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[])
	ON CONFLICT (credential_id) DO UPDATE
		SET (status, public_jwk, changed_position, rotated_at, revoked_at, expires_at)
		= (excluded.status, excluded.public_jwk, excluded.changed_position, excluded.rotated_at, excluded.revoked_at,
		excluded.expires_at)
	WHERE c.changed_position < excluded.changed_position`

func storeCredentials(ctx context.Context, tx pgx.Tx, rows []*credentialRow) error {
	if len(rows) == 0 {
		return nil
	}
	times := func(field func(*credentialRow) time.Time) pgtype.FlatArray[*time.Time] {
		return column(rows, func(r *credentialRow) *time.Time { return optionalTime(field(r)) })
	}
	_, err := tx.Exec(ctx, storeCredentialRows,
		column(rows, func(r *credentialRow) pgtype.UUID { return dbID(r.ID.UUID) }),
		column(rows, func(r *credentialRow) pgtype.UUID { return dbID(r.AgentID.UUID) }),
		column(rows, func(r *credentialRow) pgtype.UUID { return dbID(r.OrganizationID.UUID) }),
		column(rows, func(r *credentialRow) string { return string(r.Kind) }),
		column(rows, func(r *credentialRow) string { return string(r.Status) }),
		column(rows, func(r *credentialRow) *string { return optionalText(r.PublicKey) }),
		column(rows, func(r *credentialRow) int64 { return int64(r.created) }),
		column(rows, func(r *credentialRow) int64 { return int64(r.changed) }),
		times(func(r *credentialRow) time.Time { return r.CreatedAt }),
		times(func(r *credentialRow) time.Time { return r.RotatedAt }),
		times(func(r *credentialRow) time.Time { return r.RevokedAt }),
		times(func(r *credentialRow) time.Time { return r.ExpiresAt }),
	)
	return err
}

func optionalText(b json.RawMessage) *string {
	if len(b) == 0 {
		return nil
	}
	s := string(b)
	return &s
}
