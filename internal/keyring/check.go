package keyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Check looks whether what is at rest is as it should be: the master key file is there, nobody but its owner can read
// it, it is the key of k, and every signing key in the database opens under it, as do the newest keys of DIDs. Fault is the first thing that is wrong;
// err says that the database could not be asked.
func (k *Keyring) Check(ctx context.Context, pool *pgxpool.Pool, masterKeyFile string) (fault, err error) {
	master, fault := LoadMasterKey(masterKeyFile)
	if fault != nil {
		return fault, nil
	}
	if master.KeyID() != k.KeyID() {
		return fmt.Errorf("%w: the file holds another key than the server runs with", ErrWrongMasterKey), nil
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		stored, err := Stored(ctx, tx)
		if err != nil {
			return err
		}
		for _, row := range stored {
			if _, err := row.open(master); err != nil {
				return err
			}
		}
		return checkDIDKeys(ctx, tx, master)
	})
	if errors.Is(err, ErrTampered) || errors.Is(err, ErrWrongMasterKey) || errors.Is(err, ErrUnsuitable) {
		return err, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	return nil, nil
}
