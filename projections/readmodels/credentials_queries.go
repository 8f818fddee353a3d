package readmodels

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/domain"
)

// Credential is a credential as lists show it.
type Credential struct {
	ID             domain.CredentialID
	AgentID        domain.AgentID
	OrganizationID domain.OrganizationID
	Kind           domain.CredentialKind
	Status         domain.CredentialStatus
	PublicKey      json.RawMessage // a JWK, of keys only
	CreatedAt      time.Time
	RotatedAt      time.Time // zero when it never was
	RevokedAt      time.Time // zero when it is not
	ExpiresAt      time.Time // zero when it does not
}

const credentialColumns = `credential_id, agent_id, organization_id, kind, status, public_jwk,
	created_position, changed_position, created_at, rotated_at, revoked_at, expires_at`

func scanCredentialRow(row pgx.CollectableRow) (c credentialRow, err error) {
	var jwk *string
	var rotated, revoked, expires *time.Time
	err = row.Scan(&c.ID.UUID, &c.AgentID.UUID, &c.OrganizationID.UUID, (*string)(&c.Kind), (*string)(&c.Status), &jwk,
		(*uint64)(&c.created), (*uint64)(&c.changed), &c.CreatedAt, &rotated, &revoked, &expires)
	if jwk != nil {
		c.PublicKey = json.RawMessage(*jwk)
	}
	c.CreatedAt = c.CreatedAt.UTC()
	c.RotatedAt, c.RevokedAt, c.ExpiresAt = timeOrZero(rotated), timeOrZero(revoked), timeOrZero(expires)
	return c, err
}

func scanCredential(row pgx.CollectableRow) (Credential, error) {
	c, err := scanCredentialRow(row)
	return c.Credential, err
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
	return one(ctx, q, tenant, scanCredential, selectCredentials+c.where(), c.args...)
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
	return list(ctx, q, tenant, scanCredential, f.Page, selectCredentials, countCredentials, c, newestCredentials)
}
