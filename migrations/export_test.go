package migrations

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
)

// ApplyAlone applies the migrations and leaves roles, grants and policies as they
// have made them.
func ApplyAlone(ctx context.Context, ownerURL string) error { return ApplyThese(ctx, ownerURL, files) }

// ApplyThese applies other migrations than the embedded ones.
func ApplyThese(ctx context.Context, ownerURL string, these fs.FS) (err error) {
	db, err := sql.Open("pgx", ownerURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = apply(ctx, db, these)
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

// Names are the embedded files.
func Names() []string { return names() }
