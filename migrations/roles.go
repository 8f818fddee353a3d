package migrations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/internal/pg"
	"github.com/sentryagent/agentidp/internal/wait"
)

// serverLogin is the login of the server where nobody has chosen another.
const serverLogin = "agentidp"

// ensureRoles makes the roles where the cluster lacks them, and members of them
// whoever has to be one: the logins that are there, and the owner, so that one
// URL can do for everything. Roles belong to the whole cluster, so another
// database of it may be doing the same right now.
func ensureRoles(ctx context.Context, conn *pgx.Conn, logins []string) (made []string, err error) {
	var owner string
	var mayCreate bool
	const asks = `SELECT rolname, rolcreaterole OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user`
	if err := conn.QueryRow(ctx, asks).Scan(&owner, &mayCreate); err != nil {
		return nil, err
	}
	if err := firstNeedsCreateRole(ctx, conn, owner, mayCreate); err != nil {
		return nil, err
	}
	for _, role := range []struct{ name, options string }{{ServerRole, "NOLOGIN NOINHERIT"}, {ProjectorRole, "NOLOGIN"}} {
		const exists = `SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)`
		create := fmt.Sprintf("CREATE ROLE %s %s", quote(role.name), role.options)
		did, err := ensure(ctx, conn, exists, []any{role.name}, create)
		if err != nil {
			return made, err
		}
		if did {
			made = append(made, "role "+role.name)
		}
	}
	members := [][2]string{{ServerRole, ProjectorRole}, {owner, ServerRole}, {serverLogin, ServerRole}}
	for _, login := range logins {
		members = append(members, [2]string{login, ServerRole})
	}
	for i, pair := range members {
		member, role := pair[0], pair[1]
		if member == role || slices.Index(members, pair) != i {
			continue
		}
		// A member counts where it can become the role. From version 16 on CREATE
		// ROLE makes its caller a member that cannot.
		const isMember = `SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1) OR
			pg_catalog.pg_has_role((SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1), $2,
				CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)`
		did, err := ensure(ctx, conn, isMember, []any{member, role}, fmt.Sprintf("GRANT %s TO %s", quote(role), quote(member)))
		if err != nil {
			return made, err
		}
		if did {
			made = append(made, "member "+member+" of role "+role)
		}
	}
	return made, nil
}

// firstNeedsCreateRole tells an owner that may make no roles what to do: the
// first migration makes them, and PostgreSQL refuses that even where they exist.
func firstNeedsCreateRole(ctx context.Context, conn *pgx.Conn, owner string, mayCreate bool) error {
	if mayCreate {
		return nil
	}
	pending, err := Pending(ctx, conn)
	if err != nil || !slices.Contains(pending, names()[0]) {
		return err
	}
	return fmt.Errorf("%s may not make roles, and the first migration makes two. As a superuser type: ALTER ROLE %s CREATEROLE "+
		"(once the database is migrated, NOCREATEROLE may take it away again)", owner, quote(owner))
}

// ensure runs a statement unless a query says that what it makes is there.
func ensure(ctx context.Context, conn *pgx.Conn, is string, args []any, statement string) (did bool, err error) {
	const tries, rest = 20, 20 * time.Millisecond
	for range tries {
		var there bool
		if err := conn.QueryRow(ctx, is, args...).Scan(&there); err != nil || there {
			return did, err
		}
		_, err = conn.Exec(ctx, statement)
		switch {
		case err == nil:
			did = true
		case pg.Is(err, pg.NotPermitted):
			return false, fmt.Errorf("%w. As a superuser type: %s", err, statement)
		case pg.Is(err, pg.DuplicateObject), pg.Is(err, pg.UniqueViolation), pg.Is(err, pg.InternalError):
			// Another database of the cluster came first, or is at it.
			if err := wait.For(ctx, rest); err != nil {
				return false, err
			}
		default:
			return false, err
		}
	}
	return false, errors.Join(fmt.Errorf("%s has no effect", statement), err)
}
