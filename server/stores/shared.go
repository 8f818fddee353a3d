package stores

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/internal/config"
)

// Shared is a setting that all servers on one database agree on, for what one of
// them writes or signs the others are asked about: each would refuse the other's
// tokens, and sign another series of checkpoints.
type Shared struct{ name, value string }

// SharedSettings are those of a configuration.
func SharedSettings(c config.Config) []Shared {
	return []Shared{
		{"PUBLIC_URL", c.PublicURL},
		{"OIDC_ISSUER", c.OIDCIssuer},
		{"DID_WEB_DOMAIN", c.DIDWebDomain},
		LedgerOrigin(c),
	}
}

// LedgerOrigin is the name that checkpoints are signed under.
func LedgerOrigin(c config.Config) Shared { return Shared{"LEDGER_ORIGIN", c.LedgerOrigin} }

// SettingChange is a setting that is another one here than for the servers on the database.
type SettingChange struct{ Name, Theirs, Ours string }

// OtherSettings are a server's settings that are not those of the servers before it.
type OtherSettings []SettingChange

func (e OtherSettings) Error() string {
	var differ []string
	for _, change := range e {
		differ = append(differ, fmt.Sprintf("%s is %q here and %q there", change.Name, change.Ours, change.Theirs))
	}
	return "all servers on one database have the same address and names, or they refuse each other's tokens: " + strings.Join(differ, ", ") +
		". Set here what is there; to change it for all of them, stop all servers and run with the new settings: agentidp settings adopt"
}

// CheckShared makes sure that the settings are those of the servers before this
// one, as far as there were any. The error is OtherSettings when they are not.
func CheckShared(ctx context.Context, pool *pgxpool.Pool, settings ...Shared) error {
	changes, err := SharedChanges(ctx, pool, settings)
	if err == nil && len(changes) > 0 {
		err = OtherSettings(changes)
	}
	return err
}

// SharedChanges are the settings that the servers before this one have otherwise.
func SharedChanges(ctx context.Context, pool *pgxpool.Pool, settings []Shared) ([]SettingChange, error) {
	remembered := map[string]string{}
	var name, value string
	rows, err := pool.Query(ctx, `SELECT name, value FROM shared_settings`)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
			remembered[name] = value
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read the shared settings: %w", err)
	}
	var changes []SettingChange
	for _, ours := range settings {
		if theirs, found := remembered[ours.name]; found && theirs != ours.value {
			changes = append(changes, SettingChange{ours.name, theirs, ours.value})
		}
	}
	return changes, nil
}

const remember = `INSERT INTO shared_settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`

// RememberShared writes down what no server has written before, and checks the
// rest: of two servers that are the first ones, one is.
func RememberShared(ctx context.Context, pool *pgxpool.Pool, c config.Config) error {
	if err := writeShared(ctx, pool, remember, append(SharedSettings(c), LedgerEngine(c))...); err != nil {
		return err
	}
	if err := CheckEngine(ctx, pool, c); err != nil {
		return err
	}
	return CheckShared(ctx, pool, SharedSettings(c)...)
}

// RememberEngine writes down where the ledger is, unless a server has.
func RememberEngine(ctx context.Context, pool *pgxpool.Pool, c config.Config) error {
	return writeShared(ctx, pool, remember, LedgerEngine(c))
}

// ReplaceShared writes settings down for all servers that start from now on.
func ReplaceShared(ctx context.Context, db beginner, settings ...Shared) error {
	const replace = `INSERT INTO shared_settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value`
	return writeShared(ctx, db, replace, settings...)
}

// beginner is a pool, or a transaction that goes on.
type beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

func writeShared(ctx context.Context, db beginner, statement string, settings ...Shared) error {
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		for _, setting := range settings {
			if _, err := tx.Exec(ctx, statement, setting.name, setting.value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the shared settings: %w", err)
	}
	return nil
}
