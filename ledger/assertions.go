package ledger

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
)

// Assertions remembers the client assertions that were used, over all nodes,
// so that none works twice (RFC 7523 section 3, "jti").
type Assertions struct{ pool *pgxpool.Pool }

// NewAssertions keeps them in the database of the pool.
func NewAssertions(pool *pgxpool.Pool) *Assertions { return &Assertions{pool: pool} }

const useAssertion = `
INSERT INTO used_assertions (client, jti, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`

// Use reports whether this is the first use of the client's assertion.
func (a *Assertions) Use(ctx context.Context, client domain.AgentID, jti string, expiresAt time.Time) (first bool, err error) {
	digest := sha256.Sum256([]byte(jti))
	tag, err := a.pool.Exec(ctx, useAssertion, client.UUID, digest[:], expiresAt)
	return tag.RowsAffected() == 1, unavailable("use assertion", err)
}

// Prune forgets the assertions that have expired. Call it now and then.
func (a *Assertions) Prune(ctx context.Context) error {
	_, err := a.pool.Exec(ctx, `DELETE FROM used_assertions WHERE expires_at < now()`)
	return unavailable("prune assertions", err)
}
