package migrations

import (
	"context"
	"database/sql"
	"errors"
)

// ApplyAlone applies the migrations and leaves roles, grants and policies as they
// have made them.
func ApplyAlone(ctx context.Context, ownerURL string) (err error) {
	db, err := sql.Open("pgx", ownerURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = apply(ctx, db)
	return err
}

// Faults tells what Up would mend.
func Faults(ctx context.Context, db Querier) (names []string, err error) {
	found, err := faults(ctx, db)
	for _, f := range found {
		names = append(names, f.what)
	}
	return names, err
}

// Tables are those that have their rights written down.
func Tables() (names []string) {
	for _, t := range tables {
		names = append(names, t.name)
	}
	return names
}
