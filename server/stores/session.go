package stores

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/internal/pg"
	"github.com/sentryagent/agentidp/migrations"
)

// wrongSession is a connection that works, and not as a server needs it. It says
// what to do.
type wrongSession struct{ error }

func (e wrongSession) Unwrap() error { return e.error }

var errTransactionPooling = wrongSession{errors.New("a pooler gives this server another PostgreSQL session with each transaction, " +
	"and leases and listeners need one of their own: set pool_mode = session in PgBouncer, or connect to PostgreSQL itself")}

// checkPooling finds out whether a pooler shares sessions between transactions. Of
// two connections one holds its session in a transaction, so the other keeps the
// one it had only if it is its own.
func checkPooling(ctx context.Context, options *pgx.ConnConfig) error {
	a, err := pgx.ConnectConfig(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close(ctx) }()
	b, err := pgx.ConnectConfig(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close(ctx) }()
	before, err := sessionOf(ctx, a, "")
	if err != nil {
		return err
	}
	held, err := sessionOf(ctx, b, "BEGIN; ")
	if err != nil {
		return err
	}
	after, err := sessionOf(ctx, a, "")
	if err != nil {
		return err
	}
	if before == held || before != after {
		return errTransactionPooling
	}
	return nil
}

// sessionOf tells which process of PostgreSQL answers.
func sessionOf(ctx context.Context, conn *pgx.Conn, begin string) (string, error) {
	results, err := conn.PgConn().Exec(ctx, begin+"SELECT pg_catalog.pg_backend_pid()").ReadAll()
	if err != nil && strings.Contains(err.Error(), "statement pooling") {
		return "", errTransactionPooling
	}
	if err != nil {
		return "", err
	}
	return string(results[len(results)-1].Rows[0][0]), nil
}

// becomeServer gives a new session the rights of the server's role and no others,
// whoever has logged in. It is said after connecting, because poolers drop what
// they do not know of the start of a session.
func becomeServer(ctx context.Context, conn *pgx.Conn) error {
	role := pgx.Identifier{migrations.ServerRole}.Sanitize()
	results, err := conn.PgConn().Exec(ctx, "SET ROLE "+role+"; SELECT current_user").ReadAll()
	if err != nil {
		return explainRole(ctx, conn, err)
	}
	if is := string(results[len(results)-1].Rows[0][0]); is != migrations.ServerRole {
		return wrongSession{fmt.Errorf("the session works as %s although it was given the role %s: a pooler stands between, see the docs on PgBouncer",
			is, migrations.ServerRole)}
	}
	return nil
}

// becomeReader is becomeServer also for a login that only reads, an auditor's. It
// has to see past row-level security, which would otherwise leave rows out without
// a word, and it gets no right that it does not have.
func becomeReader(ctx context.Context, conn *pgx.Conn) error {
	const mayRead = `SELECT NOT pg_catalog.pg_has_role($1, 'MEMBER'), rolbypassrls AND pg_catalog.has_table_privilege('public.events', 'SELECT')
		FROM pg_catalog.pg_roles WHERE rolname = current_user`
	var stranger, reads bool
	err := conn.QueryRow(ctx, mayRead, migrations.ServerRole).Scan(&stranger, &reads)
	if err != nil || !stranger {
		return becomeServer(ctx, conn) // which also explains what is amiss
	}
	if reads {
		return nil
	}
	return wrongSession{fmt.Errorf("the login %s may neither work as the server nor read the whole ledger: "+
		"docs/runbooks/postgresql.md says how an auditor's login is made", conn.Config().User)}
}

// explainRole says why a login cannot work as the server.
func explainRole(ctx context.Context, conn *pgx.Conn, err error) error {
	switch pg.State(err) {
	case pg.NotPermitted:
		login := conn.Config().User
		return wrongSession{fmt.Errorf("the login %s may not work as the server: as the owner of the database or a superuser type: GRANT %s TO %s; "+
			"agentidp migrate does it for the login in DATABASE_URL", login, migrations.ServerRole, pgx.Identifier{login}.Sanitize())}
	case pg.UndefinedRole:
		var migrated bool
		if err := conn.QueryRow(ctx, `SELECT to_regclass('public.goose_db_version') IS NOT NULL`).Scan(&migrated); err == nil && migrated {
			return wrongSession{fmt.Errorf("%w (the cluster has no role %s)", migrations.ErrRights, migrations.ServerRole)}
		}
		return wrongSession{migrations.ErrBehind}
	}
	return err
}
