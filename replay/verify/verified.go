package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// verified is how far the whole ledger has been verified.
type verified struct {
	position eventstore.Position
	tree     *transparency.Tree
}

const (
	selectVerified = `SELECT position, size, edge FROM verifications`

	// Of two that verify at once the one that came further counts.
	storeVerified = `INSERT INTO verifications (position, size, edge) VALUES ($1, $2, $3)
		ON CONFLICT (singleton) DO UPDATE SET (position, size, edge, verified_at) = (excluded.position, excluded.size, excluded.edge, now())
		WHERE verifications.size < excluded.size OR $4`
)

// loadVerified is the beginning where nothing usable is stored.
func loadVerified(ctx context.Context, pool *pgxpool.Pool) (verified, error) {
	at := verified{tree: &transparency.Tree{}}
	if pool == nil {
		return at, nil
	}
	var position, size int64
	var edge []byte
	err := pool.QueryRow(ctx, selectVerified).Scan(&position, &size, &edge)
	if errors.Is(err, pgx.ErrNoRows) {
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("%w: how far the ledger has been verified: %w", eventstore.ErrUnavailable, err)
	}
	tree, err := transparency.RestoreTree(size, edge)
	if err != nil {
		return at, nil // somebody changed it: begin anew
	}
	return verified{eventstore.Position(position), tree}, nil
}

// store keeps it; back says that it may be less far than what is stored.
func (at verified) store(ctx context.Context, pool *pgxpool.Pool, back bool) error {
	if pool == nil || at.tree.Size() == 0 {
		return nil
	}
	_, err := pool.Exec(ctx, storeVerified, int64(at.position), at.tree.Size(), at.tree.Edge(), back)
	if err != nil {
		return fmt.Errorf("%w: keep how far the ledger has been verified: %w", eventstore.ErrUnavailable, err)
	}
	return nil
}
