package migrations_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sentryagent/agentidp/internal/pgtest"
)

// ledgerIs is all that an intruder could want to change: rows, and what guards them.
const ledgerIs = `SELECT md5(concat_ws('|',
	(SELECT string_agg(e::text, ',' ORDER BY position) FROM public.events e),
	(SELECT string_agg(h::text, ',') FROM public.ledger_head h),
	(SELECT string_agg(m::text, ',' ORDER BY name) FROM public.read_models m),
	(SELECT string_agg(v::text, ',' ORDER BY id) FROM public.goose_db_version v),
	(SELECT string_agg(concat_ws(' ', n.nspname, c.oid, c.relname, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relhasrules), ',' ORDER BY c.oid)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('public', 'previous')),
	(SELECT string_agg(concat_ws(' ', tgrelid, tgname, tgenabled, pg_get_triggerdef(oid)), ',' ORDER BY oid) FROM pg_trigger WHERE NOT tgisinternal),
	(SELECT string_agg(concat_ws(' ', oid, prosrc, proconfig, proacl, proowner), ',' ORDER BY oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
	(SELECT string_agg(p::text, ',' ORDER BY schemaname, tablename, policyname) FROM pg_policies p),
	(SELECT string_agg(concat_ws(' ', nspname, nspowner, nspacl), ',' ORDER BY oid) FROM pg_namespace WHERE nspname !~ '^pg_'),
	(SELECT string_agg(concat_ws(' ', rolname, rolsuper, rolcreaterole, rolbypassrls), ',' ORDER BY oid) FROM pg_roles WHERE rolname ~ '^agentidp'),
	(SELECT concat_ws(' ', datdba, datacl) FROM pg_database WHERE datname = current_database())))`

const (
	asProjector = `SET ROLE agentidp_projector`

	insertAt = `INSERT INTO events (position, revision, recorded_at, id, stream, type, record, hash) VALUES `
	aRow     = `, 0, now(), gen_random_uuid(), gen_random_uuid()::text, 'agent.registered', 'x', sha256('x'))`
)

// attacks are what somebody tries who has the server's login. The last statement
// of each must be refused, if none before it is.
var attacks = map[string][]string{
	"change an event":                      {`UPDATE events SET type = 'forged' WHERE position = 1`},
	"change an event by insert":            {insertAt + `(1` + aRow + ` ON CONFLICT (position) DO UPDATE SET type = 'forged'`},
	"change an event by merge":             {`MERGE INTO events e USING (SELECT 1 AS p) s ON e.position = s.p WHEN MATCHED THEN UPDATE SET type = 'forged'`},
	"change an event through a function":   {`DO $$ BEGIN UPDATE events SET type = 'forged'; END $$`},
	"change an event as the projector":     {asProjector, `UPDATE events SET type = 'forged'`},
	"append as the projector":              {asProjector, insertAt + `(4` + aRow},
	"delete events":                        {`DELETE FROM events`},
	"truncate events":                      {`TRUNCATE events`},
	"drop events":                          {`DROP TABLE events CASCADE`},
	"rename events":                        {`ALTER TABLE events RENAME TO older`},
	"replace an event":                     {insertAt + `(2` + aRow},
	"append with a gap":                    {insertAt + `(5` + aRow},
	"append at the end of all numbers":     {insertAt + `(9223372036854775807` + aRow},
	"append before the first":              {insertAt + `(-1` + aRow},
	"append two after a gap":               {insertAt + `(5` + aRow + `, (6` + aRow},
	"append with a gap, by conflict":       {insertAt + `(3` + aRow + `, (5` + aRow + ` ON CONFLICT DO NOTHING`},
	"append with a gap, by merge":          {`MERGE INTO events e USING (SELECT 5 AS p) s ON e.position = s.p WHEN NOT MATCHED THEN INSERT (position, revision, recorded_at, id, stream, type, record, hash) VALUES (s.p` + aRow},
	"append and a gap":                     {insertAt + `(4` + aRow + `, (6` + aRow},
	"move the head far":                    {`UPDATE ledger_head SET position = 9223372036854775806`},
	"move the head by one":                 {`UPDATE ledger_head SET position = position + 1`},
	"move the head back":                   {`UPDATE ledger_head SET position = position - 1`},
	"move the head to null":                {`UPDATE ledger_head SET position = NULL`},
	"drop the head":                        {`DELETE FROM ledger_head`},
	"make another head":                    {`INSERT INTO ledger_head (singleton, position) VALUES (false, 9)`},
	"silence a trigger":                    {`ALTER TABLE events DISABLE TRIGGER events_are_append_only`},
	"silence all triggers":                 {`ALTER TABLE events DISABLE TRIGGER ALL`},
	"silence triggers for the session":     {`SET session_replication_role = replica`},
	"drop a trigger":                       {`DROP TRIGGER events_are_append_only ON events`},
	"add a trigger":                        {`CREATE TRIGGER mine BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()`},
	"add a rule":                           {`CREATE RULE mine AS ON INSERT TO events DO INSTEAD NOTHING`},
	"replace the trigger's function":       {`CREATE OR REPLACE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`},
	"change a function's path":             {`ALTER FUNCTION begin_rebuild SET search_path = pg_temp`},
	"drop a function":                      {`DROP FUNCTION check_ledger_head CASCADE`},
	"rewrite the catalogue":                {`UPDATE pg_catalog.pg_trigger SET tgenabled = 'D'`},
	"become the owner":                     {`SET ROLE agentidp_owner`},
	"become a superuser":                   {`ALTER ROLE CURRENT_USER SUPERUSER`},
	"log in as another":                    {`SET SESSION AUTHORIZATION agentidp_owner`},
	"be given the owner's rights":          {`GRANT agentidp_owner TO CURRENT_USER`},
	"take the table":                       {`ALTER TABLE events OWNER TO CURRENT_USER`},
	"give oneself rights":                  {`DO $$ BEGIN GRANT ALL ON events TO agentidp_server; IF NOT has_table_privilege('agentidp_server', 'events', 'UPDATE') THEN RAISE insufficient_privilege; END IF; END $$`},
	"see all tenants":                      {`ALTER TABLE agents DISABLE ROW LEVEL SECURITY`},
	"write a policy":                       {`CREATE POLICY mine ON agents USING (true)`},
	"shadow events in a temporary table":   {`CREATE TEMPORARY TABLE events (position bigint)`},
	"shadow by a view":                     {`CREATE TEMPORARY VIEW events AS SELECT 1`},
	"shadow by a function":                 {`CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT $1'`},
	"shadow by an operator":                {`CREATE OPERATOR public.<> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = int8eq)`},
	"shadow as the projector":              {asProjector, `CREATE TEMPORARY TABLE pg_policy (polrelid oid, polname name)`},
	"shadow in the server's own schema":    {`CREATE SCHEMA AUTHORIZATION CURRENT_USER`},
	"make a table in public":               {`CREATE TABLE public.mine ()`},
	"make a table in next":                 {asProjector, `CREATE TABLE next.events (LIKE public.events)`},
	"make a table in previous":             {asProjector, `CREATE TABLE previous.events (LIKE public.events)`},
	"rebuild the ledger":                   {asProjector, `SELECT begin_rebuild('evil', 1, 0, '{events}', '{}', 'me')`},
	"rebuild the head":                     {asProjector, `SELECT begin_rebuild('evil', 1, 0, '{ledger_head}', '{}', 'me')`},
	"rebuild what was signed":              {asProjector, `SELECT begin_rebuild('evil', 1, 0, '{checkpoints}', '{}', 'me')`},
	"rebuild with the ledger among others": {asProjector, `SELECT begin_rebuild('evil', 1, 0, '{agents,events}', '{}', 'me')`},
	"rebuild a name that is a statement":   {asProjector, `SELECT begin_rebuild('evil', 1, 0, ARRAY['agents (LIKE public.agents); DROP TABLE public.events; --'], '{}', 'me')`},
	"rebuild the list of what is rebuilt":  {asProjector, `SELECT begin_rebuild('evil', 1, 0, '{read_models}', '{}', 'me')`},
	"call the ledger a read model":         {`INSERT INTO read_models VALUES ('events')`},
	"call it so as the projector":          {asProjector, `INSERT INTO read_models VALUES ('events')`},
	"let a rebuild be the ledger's":        {asProjector, `SELECT begin_rebuild('agents', 1, 0, '{agents}', '{}', 'me')`, `UPDATE projection_rebuilds SET tables = '{events}'`},
	"switch without a rebuild":             {asProjector, `SELECT switch_rebuild('evil')`},
	"switch what is not protected":         {asProjector, `SELECT begin_rebuild('agents', 1, 0, '{agents}', '{}', 'me')`, `SELECT switch_rebuild('agents')`},
	"drop the ledger as a previous one":    {asProjector, `SELECT drop_previous('{events}')`},
	"put options into a statement":         {asProjector, `ALTER TABLE agents SET (fillfactor = 90)`},
	"verify the ledger into a table":       {asProjector, `SELECT begin_verification('{events}', '{}')`},
	"call the owner's functions directly":  {`SELECT begin_verification('{agents}', '{}')`},
	"call what is for inside":              {asProjector, `SELECT protect_next('events')`},
	"hold up everybody":                    {`BEGIN`, `LOCK TABLE events IN ACCESS EXCLUSIVE MODE`},
	"undo a migration":                     {`UPDATE goose_db_version SET is_applied = false`},
	"run a program":                        {`COPY (SELECT 1) TO PROGRAM 'id'`},
	"read a file":                          {`COPY snapshots FROM '/etc/passwd'`},
	"write a file":                         {`SELECT lo_export(lo_from_bytea(0, 'x'), '/tmp/agentidp-intruder')`},
	"load a library":                       {`LOAD '/tmp/evil.so'`},
	"install an extension":                 {`CREATE EXTENSION dblink`},
	"replace from another database":        {`CREATE SUBSCRIPTION evil CONNECTION 'host=127.0.0.1' PUBLICATION evil WITH (connect = false)`},
	"change the server":                    {`ALTER SYSTEM SET session_replication_role = replica`},
	"change the database":                  {`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = pg_temp', current_database()); END $$`},
}

// Somebody with the server's rights in the database can append to the ledger, and
// can neither change nor drop nor shadow what is in it.
func TestTheServersLoginCannotTouchTheLedger(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Migrated)
	if err := up(t.Context(), db.OwnerURL); err != nil {
		t.Fatal(err)
	}
	server, superuser := connect(t, db.ServerURL), connect(t, db.SuperuserURL)
	exec(t, server, insertAt+`(1`+aRow, insertAt+`(2`+aRow+`, (3`+aRow)
	before := textOf(t, superuser, ledgerIs)
	if head := textOf(t, superuser, `SELECT position::text FROM ledger_head`); head != "3" {
		t.Errorf("after three events the head is at %s", head)
	}
	if len(attacks) < 30 {
		t.Errorf("only %d attacks", len(attacks))
	}
	for name, statements := range attacks {
		if err := attack(t, db.ServerURL, statements); err == nil {
			t.Errorf("%s: %q is not refused", name, statements)
		}
		if after := textOf(t, superuser, ledgerIs); after != before {
			t.Fatalf("%s: the ledger or what guards it is not as it was", name)
		}
	}
	// And it still appends.
	exec(t, server, insertAt+`(4`+aRow)
}

// Where temporary tables can be made all the same, as in a database that was
// restored and not migrated, they stand in for no catalogue.
func TestTemporaryTablesStandInForNoCatalogue(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Migrated)
	server, superuser := connect(t, db.ServerURL), connect(t, db.SuperuserURL)
	exec(t, server, insertAt+`(1`+aRow)
	exec(t, superuser, `DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database()); END $$`)
	before := textOf(t, superuser, ledgerIs)
	forged := []string{
		asProjector,
		`CREATE TEMPORARY TABLE read_models (name text)`, `INSERT INTO pg_temp.read_models VALUES ('events')`, `GRANT SELECT ON pg_temp.read_models TO PUBLIC`,
		`CREATE TEMPORARY TABLE pg_policy (polrelid oid, polname name)`, `GRANT SELECT ON pg_temp.pg_policy TO PUBLIC`,
		`INSERT INTO pg_temp.pg_policy SELECT 'public.events'::regclass, 'projector'`,
		`CREATE TEMPORARY TABLE pg_class AS SELECT * FROM pg_catalog.pg_class`, `GRANT SELECT ON pg_temp.pg_class TO PUBLIC`,
		`UPDATE pg_temp.pg_class SET reloptions = '{fillfactor=90); ALTER TABLE public.events DISABLE TRIGGER ALL; ALTER TABLE next.agents SET (fillfactor=90}'
			WHERE oid IN ('public.events'::regclass, 'public.agents'::regclass)`,
		`SELECT begin_rebuild('agents', 1, 0, '{agents}', '{}', 'me')`, // which is its right
	}
	if err := attack(t, db.ServerURL, forged); err != nil {
		t.Errorf("a rebuild beside forged catalogues: %v", err)
	}
	for _, last := range []string{`SELECT begin_rebuild('evil', 1, 0, '{events}', '{}', 'me')`, `SELECT drop_previous('{events}')`, `SELECT begin_verification('{events}', '{}')`} {
		err := attack(t, db.ServerURL, append(forged, last))
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Message != "table events is not a read model" {
			t.Errorf("%s beside forged catalogues: %v", last, err)
		}
	}
	if after := textOf(t, superuser, ledgerIs); after != before {
		t.Error("the ledger or what guards it is not as it was")
	}
}

// attack runs statements on a connection of its own up to the first that is refused.
func attack(t *testing.T, url string, statements []string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			return err
		}
	}
	return nil
}

func textOf(t *testing.T, conn *pgx.Conn, query string) (text string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query).Scan(&text); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return text
}
