package readmodels

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/follow"
)

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
	ended := make([]follow.Event, 0, len(newest))
	for _, e := range newest {
		ended = append(ended, e)
	}
	_, err := tx.Exec(ctx, storeCredentialEnds,
		column(ended, func(e follow.Event) pgtype.UUID { return dbID(domain.EndedWith(e.Fact).UUID) }),
		column(ended, func(e follow.Event) pgtype.UUID { return dbID(e.Organization) }),
		column(ended, func(e follow.Event) int64 { return e.Revision }))
	return err
}
