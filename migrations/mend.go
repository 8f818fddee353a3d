package migrations

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"
)

// fault is where a database is not as [tables], [policies] and [triggers] say,
// and the statements that mend it.
type fault struct {
	what string
	mend []string
	// lacking: a server cannot do its work. Otherwise somebody may do too much.
	lacking bool
}

// faults compares the database with what it should be. It reads catalogues only,
// so every role may ask. Roles are not looked at.
func faults(ctx context.Context, db Querier) ([]fault, error) {
	var all []fault
	for _, look := range []func(context.Context, Querier) ([]fault, error){
		databaseFaults, grantFaults, policyFaults, functionFaults, triggerFaults,
	} {
		found, err := look(ctx, db)
		if err != nil {
			return nil, fmt.Errorf("look at the rights in the database: %w", err)
		}
		all = append(all, found...)
	}
	return all, nil
}

func quote(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// databaseFaults looks at the database and its schemas, whose rights a dump of
// the database does not have.
func databaseFaults(ctx context.Context, db Querier) (found []fault, err error) {
	const query = `SELECT d.datname,
		pg_catalog.pg_has_role(d.datdba, 'USAGE') AS mine,
		EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
			WHERE a.privilege_type = 'TEMPORARY' AND (a.grantee = 0 OR a.grantee IN ($1::text::regrole, $2::text::regrole))) AS temporary,
		EXISTS (SELECT FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
			WHERE n.nspname = 'public' AND a.privilege_type = 'CREATE' AND (a.grantee = 0 OR a.grantee IN ($1::text::regrole, $2::text::regrole))
			AND pg_catalog.pg_has_role(n.nspowner, 'USAGE')) AS creates,
		pg_catalog.has_schema_privilege($1, 'public', 'USAGE') AND pg_catalog.has_schema_privilege($2, 'public', 'USAGE')
			AND pg_catalog.has_schema_privilege($2, 'next', 'USAGE') AS enters
		FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`
	rows, err := db.Query(ctx, query, ServerRole, ProjectorRole)
	if err != nil {
		return nil, err
	}
	var name string
	var mine, temporary, creates, enters bool
	_, err = pgx.ForEachRow(rows, []any{&name, &mine, &temporary, &creates, &enters}, func() error {
		both := quote(ServerRole) + ", " + quote(ProjectorRole)
		if temporary && mine {
			found = append(found, fault{
				what: "everybody may make temporary tables",
				mend: []string{"REVOKE TEMPORARY ON DATABASE " + quote(name) + " FROM PUBLIC, " + both},
			})
		}
		if creates {
			found = append(found, fault{
				what: "everybody may make tables in schema public",
				mend: []string{"REVOKE CREATE ON SCHEMA public FROM PUBLIC, " + both},
			})
		}
		if !enters {
			found = append(found, fault{
				what: "the server's roles cannot enter the schemas", lacking: true,
				mend: []string{"GRANT USAGE ON SCHEMA public TO " + both, "GRANT USAGE ON SCHEMA next TO " + quote(ProjectorRole)},
			})
		}
		return nil
	})
	return found, err
}

// everybody is the name under which PostgreSQL knows grants to all roles.
const everybody = "PUBLIC"

// grantsIn reads the grants on the tables of a schema: by table, then by role.
// A table without grants has an entry as well.
func grantsIn(ctx context.Context, db Querier, schema string) (map[string]map[string]grants, error) {
	const query = `SELECT c.relname, coalesce(r.rolname, '` + everybody + `'), coalesce(a.privilege_type, ''), coalesce(a.attname, '')
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN LATERAL (
			SELECT x.grantee, x.privilege_type, NULL AS attname FROM pg_catalog.aclexplode(c.relacl) x
			UNION ALL
			SELECT x.grantee, x.privilege_type, t.attname FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) x WHERE t.attrelid = c.oid
		) a ON true
		LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
		WHERE n.nspname = $1 AND c.relkind = 'r'`
	rows, err := db.Query(ctx, query, schema)
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]grants{}
	var name, role, privilege, column string
	_, err = pgx.ForEachRow(rows, []any{&name, &role, &privilege, &column}, func() error {
		if found[name] == nil {
			found[name] = map[string]grants{everybody: {}, ServerRole: {}, ProjectorRole: {}}
		}
		if g := found[name][role]; g != nil && privilege != "" {
			if column != "" {
				privilege += " (" + column + ")"
			}
			g[privilege] = true
		}
		return nil
	})
	return found, err
}

func grantFaults(ctx context.Context, db Querier) (found []fault, err error) {
	actual, err := grantsIn(ctx, db, "public")
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		has := actual[t.name]
		if has == nil {
			return nil, fmt.Errorf("table %s is not there, though the migration that makes it has been applied: restore the database whole", t.name)
		}
		want := map[string]grants{everybody: {}, ServerRole: parseGrants(t.server), ProjectorRole: parseGrants(t.projector)}
		if t.name == "events" && maps.Equal(has[ServerRole], parseGrants(reads)) {
			// A ledger that has moved to another engine is closed by taking INSERT away.
			want[ServerRole] = has[ServerRole]
		}
		if f, differs := compareGrants("public", t.name, has, want); differs {
			found = append(found, f)
		}
	}
	rebuilding, err := grantsIn(ctx, db, "next")
	if err != nil {
		return nil, err
	}
	for name, has := range rebuilding {
		want := maps.Clone(has) // a rebuild that comes to its end gives it those of the live table
		if len(has[ServerRole]) == 0 {
			want = map[string]grants{everybody: {}, ServerRole: {}, ProjectorRole: parseGrants(writes)}
		}
		if f, differs := compareGrants("next", name, has, want); differs {
			found = append(found, f)
		}
	}
	return found, nil
}

func compareGrants(schema, name string, has, want map[string]grants) (f fault, differs bool) {
	f.what = "grants on " + schema + "." + name
	f.mend = []string{fmt.Sprintf("REVOKE ALL ON %s FROM PUBLIC, %s, %s", quote(schema, name), quote(ServerRole), quote(ProjectorRole))}
	for _, role := range []string{everybody, ServerRole, ProjectorRole} {
		if maps.Equal(has[role], want[role]) {
			continue
		}
		differs = true
		for privilege := range want[role] {
			f.lacking = f.lacking || !has[role][privilege]
		}
	}
	for _, role := range []string{ServerRole, ProjectorRole} {
		if len(want[role]) > 0 {
			f.mend = append(f.mend, fmt.Sprintf("GRANT %s ON %s TO %s", want[role], quote(schema, name), quote(role)))
		}
	}
	return f, differs
}

// protection is the row-level security of a table.
type protection struct {
	enabled, forced bool
	policies        map[string]policy
}

func policyFaults(ctx context.Context, db Querier) (found []fault, err error) {
	const query = `SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, coalesce(p.policyname, ''), coalesce(p.cmd, ''),
			coalesce(pg_catalog.array_to_string(p.roles, ','), '') || CASE p.permissive WHEN 'RESTRICTIVE' THEN ' restricted' ELSE '' END,
			coalesce(p.qual, ''), coalesce(p.with_check, '')
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN pg_catalog.pg_policies p ON p.schemaname = n.nspname AND p.tablename = c.relname
		WHERE n.nspname = 'public' AND c.relkind = 'r'`
	rows, err := db.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	actual := map[string]*protection{}
	var name string
	var enabled, forced bool
	var p policy
	_, err = pgx.ForEachRow(rows, []any{&name, &enabled, &forced, &p.name, &p.command, &p.role, &p.using, &p.check}, func() error {
		if actual[name] == nil {
			actual[name] = &protection{enabled: enabled, forced: forced, policies: map[string]policy{}}
		}
		if p.name != "" {
			actual[name].policies[p.name] = p
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if has := actual[t.name]; has != nil && t.tenant {
			found = append(found, has.faults(t.name)...)
		}
	}
	return found, nil
}

func (has *protection) faults(name string) (found []fault) {
	on := quote("public", name)
	for _, want := range policies {
		if has.policies[want.name] == want {
			continue
		}
		create := fmt.Sprintf("CREATE POLICY %s ON %s FOR %s TO %s USING (%s)", quote(want.name), on, want.command, quote(want.role), want.using)
		if want.check != "" {
			create += " WITH CHECK (" + want.check + ")"
		}
		found = append(found, fault{
			what: "policy " + want.name + " of " + name, lacking: true,
			mend: []string{fmt.Sprintf("DROP POLICY IF EXISTS %s ON %s", quote(want.name), on), create},
		})
	}
	for other := range has.policies {
		if other != policies[0].name && other != policies[1].name {
			found = append(found, fault{
				what: "a policy too many on " + name + ": " + other,
				mend: []string{fmt.Sprintf("DROP POLICY %s ON %s", quote(other), on)},
			})
		}
	}
	if !has.enabled || !has.forced {
		found = append(found, fault{
			what: "row-level security of " + name, lacking: !has.enabled,
			mend: []string{"ALTER TABLE " + on + " ENABLE ROW LEVEL SECURITY", "ALTER TABLE " + on + " FORCE ROW LEVEL SECURITY"},
		})
	}
	return found
}

func functionFaults(ctx context.Context, db Querier) (found []fault, err error) {
	const query = `SELECT p.proname, p.oid::regprocedure::text, p.proname = ANY ($2),
			EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a WHERE a.grantee = 0),
			pg_catalog.has_function_privilege($1, p.oid, 'EXECUTE')
		FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY ($2 || $3::text[])`
	rows, err := db.Query(ctx, query, ProjectorRole, functions, inside)
	if err != nil {
		return nil, err
	}
	var name, signature string
	var projectors, public, granted bool
	_, err = pgx.ForEachRow(rows, []any{&name, &signature, &projectors, &public, &granted}, func() error {
		if !public && granted == projectors {
			return nil
		}
		f := fault{
			what: "the right to call " + name, lacking: projectors && !granted,
			mend: []string{"REVOKE ALL ON FUNCTION " + signature + " FROM PUBLIC, " + quote(ServerRole) + ", " + quote(ProjectorRole)},
		}
		if projectors {
			f.mend = append(f.mend, "GRANT EXECUTE ON FUNCTION "+signature+" TO "+quote(ProjectorRole))
		}
		found = append(found, f)
		return nil
	})
	return found, err
}

func triggerFaults(ctx context.Context, db Querier) (found []fault, err error) {
	const query = `SELECT c.relname, t.tgname, t.tgenabled::text FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
		WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal`
	rows, err := db.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	actual := map[string]string{} // how it is enabled, by table and name
	var on, name, enabled string
	_, err = pgx.ForEachRow(rows, []any{&on, &name, &enabled}, func() error {
		actual[on+"."+name] = enabled
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, t := range triggers {
		want, enable := "O", "ENABLE"
		if t.always {
			want, enable = "A", "ENABLE ALWAYS"
		}
		has, there := actual[t.table+"."+t.name]
		if has == want {
			continue
		}
		f := fault{what: "the trigger " + t.name + " does not guard " + t.table + " in every session"}
		if !there {
			f.what = "the trigger " + t.name + ", which guards " + t.table + ", is gone"
			f.mend = append(f.mend, "CREATE TRIGGER "+quote(t.name)+" "+t.definition)
		}
		f.mend = append(f.mend, fmt.Sprintf("ALTER TABLE %s %s TRIGGER %s", quote("public", t.table), enable, quote(t.name)))
		found = append(found, f)
	}
	return found, nil
}

// mend makes the database as it should be, in one transaction, and tells what was
// not. Nothing is locked where nothing is wrong.
func mend(ctx context.Context, conn *pgx.Conn) (mended []string, err error) {
	found, err := faults(ctx, conn)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, f := range found {
			for _, statement := range f.mend {
				if _, err := tx.Exec(ctx, statement); err != nil {
					return fmt.Errorf("%s: %s: %w", f.what, statement, err)
				}
			}
			mended = append(mended, f.what)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return mended, nil
}

// ErrRights: the database lacks roles, grants or policies without which a server
// cannot work, as after a restore onto another cluster.
var ErrRights = errors.New("roles, grants or policies are missing in the database: run agentidp migrate, which makes them again")

// lacking tells what a server misses, as an error that is [ErrRights].
func lacking(found []fault) error {
	var names []string
	for _, f := range found {
		if f.lacking {
			names = append(names, f.what)
		}
	}
	const most = 3
	switch {
	case len(names) == 0:
		return nil
	case len(names) > most:
		names = append(names[:most], fmt.Sprintf("and %d more", len(names)-most))
	}
	return fmt.Errorf("%w (%s)", ErrRights, strings.Join(names, ", "))
}

// Unguarded tells in what the guards, rights and policies of a database are not as
// they should be, whether or not a server can work with it. It reads catalogues
// only. [Up] mends what it tells.
func Unguarded(ctx context.Context, db Querier) ([]string, error) {
	found, err := faults(ctx, db)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, f := range found {
		all = append(all, f.what)
	}
	return all, nil
}

// Weaknesses tells in what the guards of a database are weaker than they should
// be, though a server can work with it. [Up] mends them.
func Weaknesses(ctx context.Context, db Querier) ([]string, error) {
	found, err := faults(ctx, db)
	if err != nil {
		return nil, err
	}
	var weak []string
	for _, f := range found {
		if !f.lacking {
			weak = append(weak, f.what)
		}
	}
	return weak, nil
}
