-- +goose Up
-- Whoever has the server's login can append to the ledger and nothing more. What
-- follows closes the ways in which that login could borrow the owner's rights.

-- The read models: the tables that a rebuild may replace and drop. Only the owner
-- of the schema can read or change this list. A migration that makes a read model
-- adds its name here.
CREATE TABLE read_models (
    name text PRIMARY KEY
);
REVOKE ALL ON read_models FROM PUBLIC;
INSERT INTO read_models (name) VALUES
    ('organizations'), ('organization_members'), ('agents'), ('credentials'), ('delegations'),
    ('audit_events'), ('audit_counts'), ('agent_activity'), ('token_usage'),
    ('transparency_logs'), ('transparency_tiles');

-- Functions with the owner's rights search pg_temp last. PostgreSQL searches it
-- first where a search_path does not name it, and then finds there whatever the
-- caller has made under a catalogue's name. Each of them names its schemas as well.
--
-- No function puts data into a statement but as %I or %L. What still goes in as
-- text is what PostgreSQL itself says of a read model's indexes, constraints and
-- policies, and only the owner can have made those.

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.must_be_read_model(model text) RETURNS void LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.read_models WHERE name = model) THEN
        RAISE EXCEPTION 'table % is not a read model', model USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
-- +goose StatementEnd

-- begin_rebuild makes empty tables for a rebuild and its row at position 0,
-- whatever an earlier one has left. Of the tables named bare not even the
-- primary key is there before finish_rebuild.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.begin_rebuild(projection text, version_ integer, head_ bigint, tables_ text[], bare text[], holder_ text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    model   text;
    mine    text[] := coalesce((SELECT copied FROM public.projection_rebuilds WHERE name = projection), '{}');
    copied_ text[] := '{}';
    def     record;
BEGIN
    FOREACH model IN ARRAY tables_ LOOP
        PERFORM public.must_be_read_model(model);
        EXECUTE format('DROP TABLE IF EXISTS previous.%I', model);
        IF model = ANY (mine) THEN
            EXECUTE format('DROP TABLE IF EXISTS next.%I', model);
        END IF;
        IF to_regclass(format('next.%I', model)) IS NOT NULL THEN
            EXECUTE format('TRUNCATE next.%I', model);
        ELSE
            copied_ := copied_ || model;
            EXECUTE format('CREATE TABLE next.%1$I (LIKE public.%1$I INCLUDING ALL EXCLUDING INDEXES)', model);
            FOR def IN
                SELECT o.option_name, o.option_value FROM pg_catalog.pg_class c, pg_catalog.pg_options_to_table(c.reloptions) o
                WHERE c.oid = format('public.%I', model)::regclass
            LOOP
                EXECUTE format('ALTER TABLE next.%I SET (%I = %L)', model, def.option_name, def.option_value);
            END LOOP;
            IF model <> ALL (bare) THEN
                FOR def IN
                    SELECT conname, pg_catalog.pg_get_constraintdef(oid) AS text FROM pg_catalog.pg_constraint
                    WHERE conrelid = format('public.%I', model)::regclass AND contype IN ('p', 'u')
                LOOP
                    EXECUTE format('ALTER TABLE next.%I ADD CONSTRAINT %I %s', model, def.conname, def.text);
                END LOOP;
            END IF;
        END IF;
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON next.%I TO agentidp_projector', model);
    END LOOP;
    DELETE FROM public.projection_rebuilds WHERE name = projection;
    INSERT INTO public.projection_rebuilds (name, version, position, head, tables, copied, holder)
        VALUES (projection, version_, 0, head_, tables_, copied_, holder_);
END
$$;
-- +goose StatementEnd

-- fits_live tells whether the new tables are there and have every column of the
-- live ones. A migration that came meanwhile may have added some.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.fits_live(projection text) RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT NOT EXISTS (
        SELECT FROM public.projection_rebuilds r
        CROSS JOIN unnest(r.tables) AS model
        JOIN pg_catalog.pg_attribute live ON live.attrelid = to_regclass(format('public.%I', model)) AND live.attnum > 0 AND NOT live.attisdropped
        LEFT JOIN pg_catalog.pg_attribute new ON new.attrelid = to_regclass(format('next.%I', model)) AND new.attname = live.attname
            AND new.atttypid = live.atttypid AND new.atttypmod = live.atttypmod
        WHERE r.name = projection AND new.attname IS NULL)
$$;
-- +goose StatementEnd

-- finish_rebuild makes one index that the live tables have and the new ones
-- lack, and tells its name; NULL when none is lacking.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.finish_rebuild(projection text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET maintenance_work_mem = '128MB' AS $$
DECLARE
    def record;
BEGIN
    SELECT t.relname AS model, i.relname AS index, c.conname AS constraint,
            coalesce(pg_catalog.pg_get_constraintdef(c.oid), pg_catalog.pg_get_indexdef(i.oid)) AS text
        INTO def
        FROM public.projection_rebuilds r
        CROSS JOIN unnest(r.copied) AS copied (model)
        JOIN pg_catalog.pg_class t ON t.oid = to_regclass(format('public.%I', copied.model))
        JOIN pg_catalog.pg_index x ON x.indrelid = t.oid
        JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
        LEFT JOIN pg_catalog.pg_constraint c ON c.conindid = i.oid AND c.contype IN ('p', 'u')
        WHERE r.name = projection AND to_regclass(format('next.%I', i.relname)) IS NULL
        ORDER BY c.contype = 'p' DESC NULLS LAST, t.relname, i.relname
        LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF def.constraint IS NOT NULL THEN
        EXECUTE format('ALTER TABLE next.%I ADD CONSTRAINT %I %s', def.model, def.constraint, def.text);
    ELSE
        EXECUTE replace(def.text, format(' ON public.%I ', def.model), format(' ON next.%I ', def.model));
    END IF;
    RETURN def.index;
END
$$;
-- +goose StatementEnd

-- protect_next gives a table in schema next the rights, the row-level security
-- and the policies of the live one.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.protect_next(model text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    live pg_catalog.pg_class;
    rule record;
BEGIN
    SELECT * INTO STRICT live FROM pg_catalog.pg_class WHERE oid = format('public.%I', model)::regclass;
    EXECUTE format('REVOKE ALL ON next.%I FROM PUBLIC, agentidp_projector', model);
    FOR rule IN SELECT grantee, privilege_type, is_grantable FROM aclexplode(live.relacl) WHERE grantee <> live.relowner LOOP
        EXECUTE format('GRANT %s ON next.%I TO %s%s', rule.privilege_type, model,
            CASE rule.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(rule.grantee)) END,
            CASE WHEN rule.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
    FOR rule IN SELECT p.*, (SELECT string_agg(quote_ident(r), ', ') FROM unnest(p.roles) r) AS to_roles
            FROM pg_catalog.pg_policies p WHERE schemaname = 'public' AND tablename = model LOOP
        EXECUTE format('DROP POLICY IF EXISTS %I ON next.%I', rule.policyname, model);
        EXECUTE format('CREATE POLICY %I ON next.%I AS %s FOR %s TO %s', rule.policyname, model, rule.permissive, rule.cmd, rule.to_roles)
            || coalesce(' USING (' || rule.qual || ')', '') || coalesce(' WITH CHECK (' || rule.with_check || ')', '');
    END LOOP;
    IF live.relrowsecurity THEN
        EXECUTE format('ALTER TABLE next.%I ENABLE ROW LEVEL SECURITY', model);
    END IF;
    IF live.relforcerowsecurity THEN
        EXECUTE format('ALTER TABLE next.%I FORCE ROW LEVEL SECURITY', model);
    END IF;
END
$$;
-- +goose StatementEnd

-- protect_rebuild makes the new tables as well guarded as the live ones. With
-- row-level security they take no more COPY, so it is the last before the switch.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.protect_rebuild(projection text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    model text;
BEGIN
    IF NOT public.fits_live(projection) THEN
        RAISE EXCEPTION 'what a rebuild of % has made does not fit the live tables: rebuild it again', projection;
    END IF;
    FOR model IN SELECT unnest(tables) FROM public.projection_rebuilds WHERE name = projection LOOP
        PERFORM public.must_be_read_model(model);
        PERFORM public.protect_next(model);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- switch_rebuild lets the new tables take the place of the live ones and ends
-- the rebuild. It follows protect_rebuild in one transaction, of which the
-- caller has set how long readers may be kept waiting: lock_timeout. Whatever
-- can be done before they have to wait has been done before it.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.switch_rebuild(projection text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    models text[] := (SELECT tables FROM public.projection_rebuilds WHERE name = projection);
    model  text;
BEGIN
    FOREACH model IN ARRAY models LOOP
        PERFORM public.must_be_read_model(model);
        EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', model);
    END LOOP;
    FOREACH model IN ARRAY models LOOP
        EXECUTE format('ALTER TABLE public.%I SET SCHEMA previous', model);
        EXECUTE format('ALTER TABLE next.%I SET SCHEMA public', model);
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_policy WHERE polrelid = format('public.%I', model)::regclass AND polname = 'projector') THEN
            RAISE EXCEPTION 'the new table % has not been protected', model;
        END IF;
    END LOOP;
    DELETE FROM public.projection_rebuilds WHERE name = projection;
END
$$;
-- +goose StatementEnd

-- drop_previous drops what a switch has left behind.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.drop_previous(tables_ text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    model text;
BEGIN
    FOREACH model IN ARRAY tables_ LOOP
        PERFORM public.must_be_read_model(model);
        EXECUTE format('DROP TABLE IF EXISTS previous.%I', model);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.analyze_next(projection text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    model text;
BEGIN
    FOR model IN SELECT unnest(tables) FROM public.projection_rebuilds WHERE name = projection LOOP
        EXECUTE format('ANALYZE next.%I', model);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- begin_verification makes empty temporary tables of the shape of read models,
-- for the session that compares. Nobody who serves may make temporary tables of
-- a shape of his own. Of the tables named bare not even the primary key is there.
-- +goose StatementBegin
CREATE FUNCTION public.begin_verification(tables_ text[], bare text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    model text;
BEGIN
    FOREACH model IN ARRAY tables_ LOOP
        PERFORM public.must_be_read_model(model);
        IF model = ANY (bare) THEN
            EXECUTE format('CREATE TEMPORARY TABLE %1$I (LIKE public.%1$I INCLUDING ALL EXCLUDING INDEXES)', model);
        ELSE
            EXECUTE format('CREATE TEMPORARY TABLE %1$I (LIKE public.%1$I INCLUDING ALL)', model);
        END IF;
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON pg_temp.%I TO agentidp_projector', model);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION public.analyze_verification(model text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.must_be_read_model(model);
    EXECUTE format('ANALYZE pg_temp.%I', model);
END
$$;
-- +goose StatementEnd

ALTER FUNCTION public.refuse_ledger_change() SET search_path = pg_catalog, pg_temp;

REVOKE ALL ON FUNCTION public.must_be_read_model, public.fits_live, public.begin_rebuild, public.finish_rebuild, public.protect_next,
    public.protect_rebuild, public.switch_rebuild, public.drop_previous, public.analyze_next,
    public.begin_verification, public.analyze_verification FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.fits_live, public.begin_rebuild, public.finish_rebuild, public.analyze_next, public.protect_rebuild,
    public.switch_rebuild, public.drop_previous, public.begin_verification, public.analyze_verification TO agentidp_projector;

-- The ledger's head is where the events end, by what the database itself does:
-- inserting moves it, and it moves over events that are there, one by one.
-- +goose StatementBegin
CREATE FUNCTION public.move_ledger_head() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.ledger_head SET position = coalesce((SELECT max(position) FROM public.events), 0);
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION public.check_ledger_head() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    there bigint;
BEGIN
    IF NEW.position = OLD.position THEN
        RETURN NULL; -- it is there already
    END IF;
    SELECT count(*) INTO there FROM public.events WHERE position > OLD.position AND position <= NEW.position;
    IF NEW.position < OLD.position OR there <> NEW.position - OLD.position THEN
        RAISE EXCEPTION 'the ledger is append-only: its head cannot go from % to %, but only forward, over events that are there without a gap',
                OLD.position, NEW.position
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Positions are 1, 2, 3, … Append with the position that follows the head''s.';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION public.move_ledger_head, public.check_ledger_head FROM PUBLIC;

-- Where the changes of another database are replayed these two keep out of it.
-- The others refuse for every role and in every mode.
CREATE TRIGGER events_move_the_head AFTER INSERT ON events
    FOR EACH STATEMENT EXECUTE FUNCTION public.move_ledger_head();
CREATE TRIGGER ledger_head_follows_events BEFORE UPDATE ON ledger_head
    FOR EACH ROW EXECUTE FUNCTION public.check_ledger_head();

DROP TRIGGER ledger_head_moves_forward ON ledger_head;
CREATE TRIGGER ledger_head_moves_forward BEFORE UPDATE ON ledger_head
    FOR EACH ROW WHEN (NEW.position < OLD.position) EXECUTE FUNCTION public.refuse_ledger_change();
ALTER TABLE ledger_head ENABLE ALWAYS TRIGGER ledger_head_moves_forward;

-- Row-level security holds for the owner of the tables as well: a server that by
-- mistake works as the owner sees no tenant's rows that it has not named. A later
-- migration that writes rows of such a table says SET LOCAL ROLE agentidp_projector.
-- +goose StatementBegin
DO $$
DECLARE
    guarded regclass;
BEGIN
    FOR guarded IN SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = 'public'::regnamespace AND relrowsecurity LOOP
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', guarded);
    END LOOP;
END
$$;
-- +goose StatementEnd
