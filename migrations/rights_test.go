package migrations_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/migrations"
)

// What stands in rights.go is what the migrations give, whatever version of
// PostgreSQL tells it. A new table needs its row there.
func TestRightsAreWrittenDown(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Template{Key: "alone" + migrations.Fingerprint(), Prepare: migrations.ApplyAlone})
	owner := connect(t, db.OwnerURL)
	found, err := migrations.Faults(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	found = slices.DeleteFunc(found, func(what string) bool {
		return what == "everybody may make temporary tables" // of the database, so no migration's
	})
	if len(found) > 0 {
		t.Errorf("migrations and rights.go disagree: %s", strings.Join(found, "; "))
	}
	rows, err := owner.Query(t.Context(), `SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !slices.Contains(migrations.Tables(), name) {
			t.Errorf("table %s has no row in rights.go: say there who may do what with it", name)
		}
	}
}

// The ways in which rights get lost, or come to be where they should not: each is
// noticed, and mended by the next Up, which finds no more.
func TestUpMendsRights(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Migrated)
	superuser, server := connect(t, db.SuperuserURL), pgtest.Pool(t, db.ServerURL)
	if err := up(t.Context(), db.OwnerURL); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		damage  []string
		found   string
		lacking bool // so that a server refuses to start
	}{
		{"grants dropped", []string{"REVOKE ALL ON events, agents FROM agentidp_server, agentidp_projector"}, "grants on public.events", true},
		{"the version unreadable", []string{"REVOKE ALL ON goose_db_version FROM agentidp_server"}, "grants on public.goose_db_version", true},
		{"a right too many", []string{"GRANT UPDATE ON events TO agentidp_server"}, "grants on public.events", false},
		{"a column too many", []string{"GRANT UPDATE (tables) ON projection_rebuilds TO agentidp_projector"}, "grants on public.projection_rebuilds", false},
		{"a right for everybody", []string{"GRANT SELECT ON snapshots TO PUBLIC"}, "grants on public.snapshots", false},
		{"policies dropped", []string{"DROP POLICY tenant ON agents", "DROP POLICY projector ON agents"}, "policy tenant of agents", true},
		{"a wider policy", []string{"DROP POLICY tenant ON agents", "CREATE POLICY tenant ON agents FOR SELECT TO agentidp_server USING (true)"}, "policy tenant of agents", true},
		{"a policy too many", []string{"CREATE POLICY mine ON agents FOR SELECT TO agentidp_server USING (true)"}, "a policy too many on agents: mine", false},
		{"row-level security off", []string{"ALTER TABLE agents DISABLE ROW LEVEL SECURITY"}, "row-level security of agents", true},
		{"row-level security not forced", []string{"ALTER TABLE agents NO FORCE ROW LEVEL SECURITY"}, "row-level security of agents", false},
		{"triggers as after pg_restore --disable-triggers", []string{"ALTER TABLE events ENABLE TRIGGER ALL", "ALTER TABLE ledger_head ENABLE TRIGGER ALL"}, "the trigger events_are_append_only does not guard events in every session", false},
		{"triggers off", []string{"ALTER TABLE events DISABLE TRIGGER ALL"}, "the trigger events_move_the_head does not guard events in every session", false},
		{"a trigger gone", []string{"DROP TRIGGER ledger_head_stays ON ledger_head"}, "the trigger ledger_head_stays, which guards ledger_head, is gone", false},
		{"functions for everybody", []string{"GRANT EXECUTE ON FUNCTION drop_previous TO PUBLIC"}, "the right to call drop_previous", false},
		{"inner functions for everybody", []string{"GRANT EXECUTE ON FUNCTION protect_next TO PUBLIC"}, "the right to call protect_next", false},
		{"functions for nobody", []string{"REVOKE ALL ON FUNCTION begin_rebuild FROM agentidp_projector"}, "the right to call begin_rebuild", true},
		{"a closed schema", []string{"REVOKE USAGE ON SCHEMA next FROM agentidp_projector"}, "the server's roles cannot enter the schemas", true},
		{"an open schema", []string{"GRANT CREATE ON SCHEMA public TO PUBLIC"}, "everybody may make tables in schema public", false},
		{"temporary tables", []string{"DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database()); END $$"}, "everybody may make temporary tables", false},
	} {
		exec(t, superuser, test.damage...)
		err := migrations.Check(t.Context(), server)
		if errors.Is(err, migrations.ErrRights) != test.lacking || !test.lacking && err != nil {
			t.Errorf("%s: Check = %v, want ErrRights: %v", test.name, err, test.lacking)
		}
		if weak, err := migrations.Weaknesses(t.Context(), superuser); err != nil || !test.lacking && !slices.Contains(weak, test.found) {
			t.Errorf("%s: weaknesses %q, %v, want %q", test.name, weak, err, test.found)
		}
		done, err := migrations.Up(t.Context(), db.OwnerURL)
		if err != nil || !slices.Contains(done.Mended, test.found) {
			t.Errorf("%s: Up mended %q, %v, want %q", test.name, done.Mended, err, test.found)
		}
		if found, err := migrations.Faults(t.Context(), superuser); err != nil || len(found) > 0 {
			t.Fatalf("%s: after Up there is still %q, %v", test.name, found, err)
		}
		if err := migrations.Check(t.Context(), server); err != nil {
			t.Errorf("%s: after Up Check = %v", test.name, err)
		}
	}
}

// A ledger that was closed after a move stays closed.
func TestUpOpensNoLedgerThatWasClosed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Migrated)
	superuser := connect(t, db.SuperuserURL)
	exec(t, superuser, "REVOKE INSERT ON events FROM agentidp_server")
	if err := migrations.Check(t.Context(), pgtest.Pool(t, db.ServerURL)); err != nil {
		t.Errorf("Check = %v", err)
	}
	if err := up(t.Context(), db.OwnerURL); err != nil {
		t.Fatal(err)
	}
	if may := textOf(t, superuser, "SELECT has_table_privilege('agentidp_server', 'events', 'INSERT')::text"); may != "false" {
		t.Error("migrate has opened it again")
	}
}

// Functions with their owner's rights are found by nobody else's names.
func TestFunctionsSearchTemporaryTablesLast(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Migrated)
	rows, err := connect(t, db.OwnerURL).Query(t.Context(), `SELECT p.proname::text, p.prosecdef, coalesce(array_to_string(p.proconfig, ' '), ''),
			coalesce((regexp_match(p.prosrc, '(?:from|join|update|into)\s+(?!public\.|pg_catalog\.|pg_temp\.|unnest|aclexplode)(pg_\w+)', 'i'))[1], '')
		FROM pg_proc p WHERE p.pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'next', 'previous'))`)
	if err != nil {
		t.Fatal(err)
	}
	var name, settings, unqualified string
	var definer bool
	definers := 0
	_, err = pgx.ForEachRow(rows, []any{&name, &definer, &settings, &unqualified}, func() error {
		if definer {
			definers++
		}
		if !strings.HasPrefix(settings, "search_path=pg_catalog, pg_temp") {
			t.Errorf("function %s has the settings %q: its search_path must be pg_catalog, pg_temp", name, settings)
		}
		if unqualified != "" {
			t.Errorf("function %s names the catalogue %s without its schema", name, unqualified)
		}
		return nil
	})
	if err != nil || definers < 8 {
		t.Errorf("%d functions with their owner's rights, %v", definers, err)
	}
}
