package migrations_test

import (
	"context"
	"io/fs"
	"os"
	"testing"
	"testing/fstest"

	"github.com/sentryagent/agentidp/internal/pgtest"
	"github.com/sentryagent/agentidp/migrations"
)

// schemaIs is what a database is made of, whatever the order in which it came to be.
const schemaIs = `SELECT concat_ws(E'\n',
	(SELECT string_agg(concat_ws(' ', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)), E'\n' ORDER BY c.relname, a.attname)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'),
	(SELECT string_agg(concat_ws(' ', conrelid::regclass, pg_get_constraintdef(oid)), E'\n' ORDER BY conrelid::regclass::text, pg_get_constraintdef(oid))
		FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
	(SELECT string_agg(indexdef, E'\n' ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'public'),
	(SELECT string_agg(concat_ws(' ', relname, reloptions, relrowsecurity, relforcerowsecurity), E'\n' ORDER BY relname)
		FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'),
	(SELECT string_agg(concat_ws(' ', proname, prosecdef, proconfig, prosrc), E'\n' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'public'::regnamespace))`

// early are the migrations as they were in the first days, up to 00011.
func early(t *testing.T) fs.FS {
	t.Helper()
	all := fstest.MapFS{}
	for _, name := range migrations.Names() {
		if name >= "00012" {
			break
		}
		content, err := os.ReadFile("testdata/early/" + name)
		if err != nil {
			content, err = os.ReadFile(name)
		}
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &fstest.MapFile{Data: content}
	}
	return all
}

// A database that was made with migrations as they were before they were changed
// becomes as any other, and keeps what is in it.
func TestEarlyDatabasesAreRepaired(t *testing.T) {
	t.Parallel()
	files := early(t)
	old := pgtest.New(t, pgtest.Template{Key: "early" + migrations.Fingerprint(), Prepare: func(ctx context.Context, ownerURL string) error {
		return migrations.ApplyThese(ctx, ownerURL, files)
	}})
	owner, superuser := connect(t, old.OwnerURL), connect(t, old.SuperuserURL)
	exec(t, superuser,
		`INSERT INTO audit_events SELECT n, n, '2026-11-23 23:30+00'::timestamptz + n * interval '10 minutes', gen_random_uuid(), NULL, NULL, 'agent.created', 'success', 's'
			FROM generate_series(1, 5) n`,
		`INSERT INTO idempotency_keys (client, key, request, seed, lease_until, created_at) VALUES (gen_random_uuid(), 'k', 'r', gen_random_uuid(), now(), now())`,
		`INSERT INTO checkpoints (organization_id, size, root, position, note, signed_at)
			VALUES (gen_random_uuid(), 5, sha256('x'), 5, convert_to(E'idp.example.com/ledger\n5\nroot\n', 'UTF8'), now())`,
		`INSERT INTO checkpoint_cosignatures (organization_id, size, witness, key_hash, line, cosigned_at)
			SELECT organization_id, size, 'w', 1, 'line', now() FROM checkpoints`)
	if err := up(t.Context(), old.OwnerURL); err != nil {
		t.Fatal(err)
	}
	fresh := pgtest.New(t, pgtest.Migrated)
	if got, want := textOf(t, owner, schemaIs), textOf(t, connect(t, fresh.OwnerURL), schemaIs); got != want {
		t.Errorf("the repaired schema is\n%s\n\nwant\n%s", got, want)
	}
	if found, err := migrations.Faults(t.Context(), owner); err != nil || len(found) > 0 {
		t.Errorf("faults: %q, %v", found, err)
	}
	for query, want := range map[string]string{
		`SELECT string_agg(concat_ws(' ', organization_id, day, action, outcome, count, changed_position), ', ' ORDER BY day) FROM audit_counts`: "" +
			"00000000-0000-0000-0000-000000000000 2026-11-23 agent.created success 2 2, 00000000-0000-0000-0000-000000000000 2026-11-24 agent.created success 3 5",
		`SELECT string_agg(holder::text, ',') FROM idempotency_keys`:  "00000000-0000-0000-0000-000000000000",
		`SELECT string_agg(origin, ',') FROM checkpoints`:             "idp.example.com/ledger",
		`SELECT string_agg(origin, ',') FROM checkpoint_cosignatures`: "idp.example.com/ledger",
	} {
		if got := textOf(t, superuser, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if err := migrations.Check(t.Context(), pgtest.Pool(t, old.ServerURL)); err != nil {
		t.Errorf("Check as the server: %v", err)
	}
}
