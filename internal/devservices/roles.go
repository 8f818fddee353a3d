package devservices

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ensureRoles makes the two login roles and the owner's database, or brings an existing cluster to the same state. The
// server's role gets nothing: its rights are the migrations' to give.
func (p *postgres) ensureRoles(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.url(superuser, superuser))
	if err != nil {
		return err
	}
	for role, rights := range map[string]string{ownerRole: "LOGIN CREATEROLE", serverRole: "LOGIN"} {
		if err = ensureRole(ctx, conn, role, rights, p.passwords[role]); err != nil {
			break
		}
	}
	if err == nil {
		err = ensureDatabase(ctx, conn, databaseName, ownerRole)
	}
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return err
	}
	return p.giveSchema(ctx)
}

func ensureRole(ctx context.Context, conn *pgx.Conn, role, rights, password string) error {
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, role).Scan(&exists); err != nil {
		return err
	}
	verb := "CREATE"
	if exists {
		verb = "ALTER"
	}
	// Passwords are hex digits: nothing to quote.
	_, err := conn.Exec(ctx, fmt.Sprintf(`%s ROLE %s %s PASSWORD '%s'`, verb, role, rights, password))
	return err
}

func ensureDatabase(ctx context.Context, conn *pgx.Conn, name, owner string) error {
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists); err != nil || exists {
		return err
	}
	_, err := conn.Exec(ctx, fmt.Sprintf(`CREATE DATABASE %s OWNER %s`, name, owner))
	return err
}

// giveSchema makes versions before 15 like those since: schema public belongs to the owner, and nobody else makes
// anything in it.
func (p *postgres) giveSchema(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.url(superuser, databaseName))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `ALTER SCHEMA public OWNER TO `+ownerRole+`; REVOKE CREATE ON SCHEMA public FROM PUBLIC`)
	return errors.Join(err, conn.Close(ctx))
}
