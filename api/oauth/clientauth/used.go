package clientauth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/ledger"
)

// UsedAssertions remembers the client assertions that were used, over all
// nodes, so that none works twice (RFC 7523 section 3, "jti").
type UsedAssertions struct{ pool *pgxpool.Pool }

// NewUsedAssertions keeps them in the database of the pool.
func NewUsedAssertions(pool *pgxpool.Pool) *UsedAssertions { return &UsedAssertions{pool: pool} }

const useAssertion = `
INSERT INTO used_assertions (client, jti, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`

// Use reports whether this is the first use of the client's assertion.
func (u *UsedAssertions) Use(ctx context.Context, client domain.AgentID, jti string, expiresAt time.Time) (first bool, err error) {
	digest := sha256.Sum256([]byte(jti))
	tag, err := u.pool.Exec(ctx, useAssertion, client.UUID, digest[:], expiresAt)
	return tag.RowsAffected() == 1, unavailable("use assertion", err)
}

// useOnce refuses an assertion whose jti was used before, on any node. It is
// remembered for longer than any node would take it: the clocks of the nodes
// and of the database need not agree to the second.
func (u *UsedAssertions) useOnce(ctx context.Context, used assertion) error {
	const margin = 5 * time.Minute
	first, err := u.Use(ctx, used.agentID, used.id, used.expiresAt.Add(clockSkew+margin))
	if err != nil {
		return err
	}
	if !first {
		return &domain.AuthError{Reason: domain.AuthReplayedAssertion}
	}
	return nil
}

// Prune forgets the assertions that have expired. Call it now and then.
func (u *UsedAssertions) Prune(ctx context.Context) error {
	_, err := u.pool.Exec(ctx, `DELETE FROM used_assertions WHERE expires_at < now()`)
	return unavailable("prune assertions", err)
}

func unavailable(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %w", operation, ledger.ErrUnavailable, err)
}
