package readmodels

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/follow"
	"github.com/sentryagent/agentidp/projections"
)

// Partners is the projection behind the list of federation partners. By which of
// them a token is verified is for the index of revocations to say.
func Partners() projections.Projection {
	return projections.Projection{
		Name: "federation_partners", Version: 1, Core: true, Tables: []string{"federation_partners"},
		Types: domain.TypesChanging(domain.PartnerNoun),
		Apply: fold[domain.Partner]{
			what:   "partner",
			about:  func(e domain.Event) uuid.UUID { return domain.About(e).Partner.UUID },
			begins: is[domain.PartnerRegistered],
			evolve: func(p domain.Partner, e follow.Event) domain.Partner { return p.Evolve(e.Fact, e.Time) },
			load:   selectPartners + ` WHERE partner_id = ANY($1)`,
			scan:   scanPartner,
			id:     func(p domain.Partner) uuid.UUID { return p.ID.UUID },
			store:  storePartners,
		}.apply,
	}
}

const partnerColumns = `partner_id, organization_id, name, issuer, jwks_uri, allowed_organizations, status, expires_at, expiry_recorded,
	edition, created_position, changed_position, created_at, updated_at`

func scanPartner(columns pgx.CollectableRow) (r row[domain.Partner], err error) {
	var expires *time.Time
	p := &r.thing
	err = columns.Scan(&p.ID.UUID, &p.OrganizationID.UUID, &p.Name, &p.Issuer, &p.JWKSURI, &p.AllowedOrganizations, (*string)(&p.Status),
		&expires, &p.ExpiryRecorded, &p.Edition, (*uint64)(&r.created), (*uint64)(&r.changed), &p.CreatedAt, &p.UpdatedAt)
	p.ExpiresAt, p.CreatedAt, p.UpdatedAt = timeOrZero(expires), p.CreatedAt.UTC(), p.UpdatedAt.UTC()
	return r, err
}

const storePartner = `INSERT INTO federation_partners AS p (` + partnerColumns + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
	ON CONFLICT (partner_id) DO UPDATE SET (name, jwks_uri, allowed_organizations, status, expires_at, expiry_recorded, edition,
		changed_position, updated_at)
		= (excluded.name, excluded.jwks_uri, excluded.allowed_organizations, excluded.status, excluded.expires_at,
		excluded.expiry_recorded, excluded.edition, excluded.changed_position, excluded.updated_at)
	WHERE p.changed_position < excluded.changed_position`

// storePartners writes row by row: partners are few.
func storePartners(ctx context.Context, tx pgx.Tx, rows []*row[domain.Partner]) error {
	batch := &pgx.Batch{}
	for _, r := range rows {
		p := r.thing
		batch.Queue(storePartner, p.ID.UUID, p.OrganizationID.UUID, p.Name, p.Issuer, p.JWKSURI, p.AllowedOrganizations, string(p.Status),
			optionalTime(p.ExpiresAt), p.ExpiryRecorded, p.Edition, int64(r.created), int64(r.changed), p.CreatedAt, p.UpdatedAt)
	}
	return tx.SendBatch(ctx, batch).Close()
}

const (
	selectPartners  = `SELECT ` + partnerColumns + ` FROM federation_partners`
	countPartners   = `SELECT count(*) FROM federation_partners`
	newestPartners  = ` ORDER BY created_position DESC`
	partnerIsThere  = `status IN ('active', 'suspended')`
	expiredPartners = selectPartners + ` WHERE ` + partnerIsThere + ` AND NOT expiry_recorded AND expires_at <= $1 AND partner_id > $2
		ORDER BY partner_id LIMIT $3`
)

// Partner finds a federation partner. The error is [ErrNotFound] where there is
// none with this id.
func (q *Queries) Partner(ctx context.Context, tenant Tenant, id domain.PartnerID) (domain.Partner, error) {
	var c conditions
	c.add("partner_id = ?", id.UUID)
	c.add(partnerIsThere)
	c.tenant(tenant, "organization_id")
	return one(ctx, q, tenant, shown(scanPartner), selectPartners+c.where(), c.args...)
}

// Partners lists the federation partners that there are, newest first.
func (q *Queries) Partners(ctx context.Context, tenant Tenant, page Page) (List[domain.Partner], error) {
	var c conditions
	c.add(partnerIsThere)
	c.tenant(tenant, "organization_id")
	return list(ctx, q, tenant, shown(scanPartner), page, selectPartners, countPartners, c, newestPartners)
}

// PartnersToExpire lists partners whose time had run out without that being on
// record: in the order of their ids, those after one.
func (q *Queries) PartnersToExpire(ctx context.Context, by time.Time, after domain.PartnerID, limit int) (found []domain.PartnerID, err error) {
	batch := &pgx.Batch{}
	batch.Queue(enter, q.role(AllOrganizations), AllOrganizations.setting())
	batch.Queue(expiredPartners, by, after.UUID, limit).Query(func(rows pgx.Rows) error {
		partners, err := pgx.CollectRows(rows, pgx.RowToFunc[domain.Partner](shown(scanPartner)))
		for _, partner := range partners {
			found = append(found, partner.ID)
		}
		return err
	})
	return found, q.ask(ctx, batch)
}
