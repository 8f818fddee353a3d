package keyring

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// createLock is the advisory lock under which keys are made; any number that nothing else locks.
const createLock = 0x6167656e744b6579 // "agentKey"

func hasKeys(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	const query = `SELECT EXISTS (SELECT FROM signing_keys)`
	var found bool
	if err := pool.QueryRow(ctx, query).Scan(&found); err != nil {
		return false, fmt.Errorf("look for signing keys: %w", err)
	}
	return found, nil
}

// loadOrCreateKeys gives all keys, oldest first, and the kids of those it made. Looking and making happen under a lock
// that ends with the transaction, so that of several servers one makes the keys and the others find them.
func loadOrCreateKeys(ctx context.Context, pool *pgxpool.Pool, master *MasterKey) (keys []*SigningKey, created []string, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(createLock)); err != nil {
			return err
		}
		if keys, err = selectKeys(ctx, tx, master); err != nil {
			return err
		}
		for _, alg := range algorithms {
			if slices.ContainsFunc(keys, func(k *SigningKey) bool { return k.alg == alg && !k.retired }) {
				continue
			}
			key, err := insertKey(ctx, tx, master, alg)
			if err != nil {
				return err
			}
			keys = append(keys, key)
			created = append(created, key.kid)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("load signing keys: %w", err)
	}
	return keys, created, nil
}

func selectKeys(ctx context.Context, tx pgx.Tx, master *MasterKey) ([]*SigningKey, error) {
	const query = `
		SELECT kid, alg, sealed_private, created_at, retired_at IS NOT NULL
		FROM signing_keys
		ORDER BY created_at, kid`
	rows, err := tx.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*SigningKey, error) {
		var (
			kid, alg  string
			sealed    []byte
			createdAt time.Time
			retired   bool
		)
		if err := row.Scan(&kid, &alg, &sealed, &createdAt, &retired); err != nil {
			return nil, err
		}
		return openKey(master, kid, alg, sealed, createdAt, retired)
	})
}

func insertKey(ctx context.Context, tx pgx.Tx, master *MasterKey, alg string) (*SigningKey, error) {
	const query = `
		INSERT INTO signing_keys (kid, alg, public_jwk, sealed_private, created_at)
		VALUES ($1, $2, $3, $4, $5)`
	private, err := generateKey(alg)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	key, err := newSigningKey(alg, private, now, false)
	if err != nil {
		return nil, err
	}
	public, err := json.Marshal(key.jwk())
	if err != nil {
		return nil, err
	}
	sealed, err := key.seal(master)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, query, key.kid, alg, public, sealed, now)
	return key, err
}
