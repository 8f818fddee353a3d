package keyring

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// createLock is the advisory lock under which keys are made; any number that nothing else locks.
const createLock = 0x6167656e744b6579 // "agentKey"

// StoredKey is a row of table signing_keys. What a key may be used for is the ledger's affair; the table says it to
// servers of versions that ask nobody else.
type StoredKey struct {
	KID        string
	Alg        string
	CreatedAt  time.Time
	RetiredAt  time.Time // when it was kept from signing, by the table; zero: it signs
	ServedAt   time.Time // since when every live server serves it; zero: not yet
	VerifyOnly bool
	sealed     []byte
}

// Signs reports whether a key signs by the table alone.
func (row StoredKey) Signs() bool { return row.RetiredAt.IsZero() }

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func hasKeys(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	const query = `SELECT EXISTS (SELECT FROM signing_keys)`
	var found bool
	if err := pool.QueryRow(ctx, query).Scan(&found); err != nil {
		return false, fmt.Errorf("look for signing keys: %w", err)
	}
	return found, nil
}

// loadOrCreateKeys gives all keys, oldest first, and the kids of those it made, which it does where none signs. Looking
// and making happen under a lock that ends with the transaction, so that of several servers one makes the keys and the
// others find them.
func loadOrCreateKeys(ctx context.Context, pool *pgxpool.Pool, master *MasterKey) (keys []StoredKey, created map[string]bool, err error) {
	created = map[string]bool{}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(createLock)); err != nil {
			return err
		}
		if keys, err = Stored(ctx, tx); err != nil || slices.ContainsFunc(keys, StoredKey.Signs) {
			return err
		}
		for _, alg := range Algorithms() {
			key, err := Generate(alg)
			if err != nil {
				return err
			}
			row, err := insertKey(ctx, tx, master, key, true)
			if err != nil {
				return err
			}
			keys = append(keys, row)
			created[row.KID] = true
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("load signing keys: %w", err)
	}
	return keys, created, nil
}

// Stored reads the table, oldest key first.
func Stored(ctx context.Context, db querier) ([]StoredKey, error) {
	const query = `
		SELECT kid, alg, sealed_private, created_at, retired_at, served_at, verify_only
		FROM signing_keys
		ORDER BY created_at, kid`
	rows, err := db.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (key StoredKey, err error) {
		var retiredAt, servedAt *time.Time
		err = row.Scan(&key.KID, &key.Alg, &key.sealed, &key.CreatedAt, &retiredAt, &servedAt, &key.VerifyOnly)
		if retiredAt != nil {
			key.RetiredAt = *retiredAt
		}
		if servedAt != nil {
			key.ServedAt = *servedAt
		}
		return key, err
	})
}

// Store keeps a key for all servers. Older versions take it for one that signs no more, until [Mirror] says otherwise.
func (m *MasterKey) Store(ctx context.Context, db querier, key *SigningKey) error {
	_, err := insertKey(ctx, db, m, key, false)
	return err
}

func insertKey(ctx context.Context, db querier, master *MasterKey, key *SigningKey, signs bool) (row StoredKey, err error) {
	const query = `
		INSERT INTO signing_keys (kid, alg, public_jwk, sealed_private, created_at, retired_at, verify_only)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`
	row = StoredKey{
		KID: key.kid, Alg: key.alg, CreatedAt: time.Now().UTC().Truncate(time.Microsecond), VerifyOnly: key.VerifyOnly(),
	}
	public, err := json.Marshal(key.jwk())
	if err != nil {
		return row, err
	}
	if row.sealed, err = key.seal(master); err != nil {
		return row, err
	}
	var retiredAt *time.Time
	if !signs {
		row.RetiredAt = row.CreatedAt
		retiredAt = &row.RetiredAt
	}
	_, err = db.Exec(ctx, query, row.KID, row.Alg, public, row.sealed, row.CreatedAt, retiredAt, row.VerifyOnly)
	return row, err
}

// Destroy deletes a key, its private half with it.
func Destroy(ctx context.Context, db querier, kid string) error {
	_, err := db.Exec(ctx, `DELETE FROM signing_keys WHERE kid = $1`, kid)
	return err
}

// Mirror says by the table whether a key signs, for servers of versions that know of no states.
func Mirror(ctx context.Context, db querier, kid string, signs bool) error {
	statement := `UPDATE signing_keys SET retired_at = now() WHERE kid = $1 AND retired_at IS NULL`
	if signs {
		statement = `UPDATE signing_keys SET retired_at = NULL WHERE kid = $1 AND retired_at IS NOT NULL`
	}
	_, err := db.Exec(ctx, statement, kid)
	return err
}
