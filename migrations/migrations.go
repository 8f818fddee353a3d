// Package migrations holds the schema of the database: SQL files, numbered,
// embedded, applied in order and only ever forwards.
//
// [Up] applies what is missing, as the owner of the database. A server does
// not migrate: it asks [Check] at its start and refuses to run on a database
// that is behind.
package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib" // the driver named pgx
	"github.com/pressly/goose/v3"

	"github.com/sentryagent/agentidp/internal/pg"
	"github.com/sentryagent/agentidp/internal/wait"
)

//go:embed *.sql
var files embed.FS

// ErrBehind: the database lacks migrations that this build needs.
var ErrBehind = errors.New("the database is behind: run agentidp migrate")

// lockKey is the advisory lock that Up holds, so that of several processes
// that migrate one database at once each finds the work of the one before it.
const lockKey = 0x6167656e74696470 // "agentidp"

// Done is what [Up] has done.
type Done struct {
	Applied []string // files of migrations, in order
	Mended  []string // of roles, grants, policies and triggers: what was not as it should be
}

// Up applies the migrations that the database lacks and makes roles, grants,
// policies and triggers as they should be, also where no migration is lacking.
// databaseURL is that of the database's owner, who needs CREATEROLE where the
// roles do not exist yet. Those of the logins that are there may work as the server.
func Up(ctx context.Context, databaseURL string, logins ...string) (done Done, err error) {
	db, err := sql.Open("pgx", databaseURL)
	if err != nil {
		return done, fmt.Errorf("migrate: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	lock, err := db.Conn(ctx)
	if err != nil {
		return done, fmt.Errorf("migrate: %w", err)
	}
	defer lock.Close() // ends the session's lock as well: db is closed after it
	if err := takeLock(ctx, lock); err != nil {
		return done, fmt.Errorf("migrate: wait for the lock: %w", err)
	}
	err = lock.Raw(func(driver any) error {
		done.Mended, err = ensureRoles(ctx, driver.(*stdlib.Conn).Conn(), logins)
		return err
	})
	if err != nil {
		return done, fmt.Errorf("migrate: %w", err)
	}
	if done.Applied, err = apply(ctx, db, files); err != nil {
		return done, fmt.Errorf("migrate: %w", err)
	}
	err = lock.Raw(func(driver any) error {
		mended, err := mend(ctx, driver.(*stdlib.Conn).Conn())
		done.Mended = append(done.Mended, mended...)
		return err
	})
	if err != nil {
		return done, fmt.Errorf("migrate: %w", err)
	}
	return done, nil
}

// apply applies the migrations and names their files.
func apply(ctx context.Context, db *sql.DB, files fs.FS) (applied []string, err error) {
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files)
	if err != nil {
		return nil, err
	}
	results, err := provider.Up(ctx)
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		results = partial.Applied
	}
	for _, r := range results {
		applied = append(applied, path.Base(r.Source.Path))
	}
	return applied, err
}

// takeLock asks again and again instead of waiting in the database: a statement
// that waits holds a snapshot, and an index that is built CONCURRENTLY waits for
// all snapshots, so the two would wait for each other for ever.
func takeLock(ctx context.Context, lock *sql.Conn) error {
	const between = 50 * time.Millisecond
	for {
		var taken bool
		err := lock.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", int64(lockKey)).Scan(&taken)
		if err != nil || taken {
			return err
		}
		if err := wait.For(ctx, between); err != nil {
			return err
		}
	}
}

// Querier is what Pending and Check read with: a pool, a connection or a
// transaction, also those of the server's role.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Pending names the migrations that the database lacks.
func Pending(ctx context.Context, db Querier) ([]string, error) {
	rows, err := db.Query(ctx, "SELECT version_id FROM goose_db_version WHERE is_applied")
	var versions []int64
	if err == nil {
		versions, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	}
	if err != nil && !pg.Is(err, pg.UndefinedTable) {
		return nil, fmt.Errorf("read the schema's version: %w", err)
	}
	done := make(map[int64]bool, len(versions))
	for _, v := range versions {
		done[v] = true
	}
	var pending []string
	for _, name := range names() {
		version, err := versionOf(name)
		if err != nil {
			return nil, err
		}
		if !done[version] {
			pending = append(pending, name)
		}
	}
	return pending, nil
}

// Check returns [ErrBehind], in one line that names what is missing, unless
// the database has all migrations of this build, and [ErrRights] where it has
// them and lacks what they gave to the server. A database that has more is fine:
// migrations only add while older servers still run.
func Check(ctx context.Context, db Querier) error {
	pending, err := Pending(ctx, db)
	switch {
	case pg.Is(err, pg.NotPermitted): // it is there, and the server may not read it
		return fmt.Errorf("%w (the server may not read the schema's version)", ErrRights)
	case err != nil:
		return err
	case len(pending) > 0:
		return fmt.Errorf("%w (it lacks %s)", ErrBehind, strings.Join(pending, ", "))
	}
	found, err := faults(ctx, db)
	if pg.Is(err, pg.UndefinedObject) {
		return fmt.Errorf("%w (a role is not there)", ErrRights)
	}
	if err != nil {
		return err
	}
	return lacking(found)
}

// Fingerprint is a digest of all migrations; it changes when any of them does.
func Fingerprint() string {
	digest := sha256.New()
	for _, name := range names() {
		content, err := files.ReadFile(name)
		if err != nil {
			panic(err) // embedded under this very name
		}
		fmt.Fprintf(digest, "%s\x00%d\x00", name, len(content))
		digest.Write(content)
	}
	return hex.EncodeToString(digest.Sum(nil))
}

// names lists the embedded files, which sorts them by number.
func names() []string {
	matches, err := fs.Glob(files, "*.sql")
	if err != nil {
		panic(err) // the pattern is constant
	}
	return matches
}

func versionOf(name string) (int64, error) {
	number, _, _ := strings.Cut(name, "_")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("migration %s does not begin with its number: %w", name, err)
	}
	return version, nil
}
