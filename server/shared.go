package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sentryagent/agentidp/internal/config"
	"github.com/sentryagent/agentidp/migrations"
	"github.com/sentryagent/agentidp/projections"
	"github.com/sentryagent/agentidp/projections/readmodels"
)

// shared is a setting that all servers on one database agree on, for what one of
// them writes or signs the others are asked about: each would refuse the other's
// tokens, and sign another series of checkpoints.
type shared struct{ name, value string }

func sharedSettings(c config.Config) []shared {
	return []shared{
		{"PUBLIC_URL", c.PublicURL},
		{"OIDC_ISSUER", c.OIDCIssuer},
		{"DID_WEB_DOMAIN", c.DIDWebDomain},
		ledgerOrigin(c),
	}
}

func ledgerOrigin(c config.Config) shared { return shared{"LEDGER_ORIGIN", c.LedgerOrigin} }

// SettingChange is a setting that is another one here than for the servers on the database.
type SettingChange struct{ Name, Theirs, Ours string }

// otherSettings are a server's settings that are not those of the servers before it.
type otherSettings []SettingChange

func (e otherSettings) Error() string {
	var differ []string
	for _, change := range e {
		differ = append(differ, fmt.Sprintf("%s is %q here and %q there", change.Name, change.Ours, change.Theirs))
	}
	return "all servers on one database have the same address and names, or they refuse each other's tokens: " + strings.Join(differ, ", ") +
		". Set here what is there; to change it for all of them, stop all servers and run with the new settings: agentidp settings adopt"
}

// checkShared makes sure that the settings are those of the servers before this
// one, as far as there were any. The error is otherSettings when they are not.
func checkShared(ctx context.Context, pool *pgxpool.Pool, settings ...shared) error {
	changes, err := sharedChanges(ctx, pool, settings)
	if err == nil && len(changes) > 0 {
		err = otherSettings(changes)
	}
	return err
}

func sharedChanges(ctx context.Context, pool *pgxpool.Pool, settings []shared) ([]SettingChange, error) {
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

// rememberShared writes down what no server has written before, and checks the
// rest: of two servers that are the first ones, one is.
func rememberShared(ctx context.Context, pool *pgxpool.Pool, c config.Config) error {
	if err := writeShared(ctx, pool, remember, append(sharedSettings(c), ledgerEngine(c))...); err != nil {
		return err
	}
	if err := checkEngine(ctx, pool, c); err != nil {
		return err
	}
	return checkShared(ctx, pool, sharedSettings(c)...)
}

func replaceShared(ctx context.Context, db beginner, settings ...shared) error {
	const replace = `INSERT INTO shared_settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value`
	return writeShared(ctx, db, replace, settings...)
}

// beginner is a pool, or a transaction that goes on.
type beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

func writeShared(ctx context.Context, db beginner, statement string, settings ...shared) error {
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

// AdoptSettings has all servers that start from now on have these settings, and
// tells what has changed. No server may run meanwhile: the error is
// [projections.ErrRunning] then.
func AdoptSettings(ctx context.Context, c config.Config) ([]SettingChange, error) {
	pool, err := OpenDatabase(ctx, c)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	if err := migrations.Check(ctx, pool); err != nil {
		return nil, err
	}
	changes, err := sharedChanges(ctx, pool, sharedSettings(c))
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	release, err := projections.Seize(ctx, pool, readmodels.All())
	if err != nil {
		return nil, err
	}
	defer release()
	return changes, replaceShared(ctx, pool, sharedSettings(c)...)
}
