-- +goose Up
-- Read models are rebuilt beside the live tables: tables of the same names fill
-- in schema next, and take the place of the live ones in one transaction. Those
-- they replace wait in schema previous until nobody holds them any more.
--
-- Serving processes have no right to make or to drop tables. What they need of
-- it is done by the functions below, with the rights of the schema's owner and
-- for nothing but read models: tables with the policy "projector".
--
-- A migration that gives a read model another shape makes the new table in
-- schema next, without rows but with its indexes; the projection's new version
-- fills it. Where a migration has made none, a rebuild copies the live shape.
CREATE SCHEMA next;
CREATE SCHEMA previous;
GRANT USAGE ON SCHEMA next TO agentidp_projector;

-- What is being rebuilt. The position moves in the transactions that write the
-- rows, so whoever comes after a killed rebuild goes on where it was.
CREATE TABLE projection_rebuilds (
    name       text        PRIMARY KEY,                     -- of the projection
    version    integer     NOT NULL,                        -- that fills the tables
    position   bigint      NOT NULL CHECK (position >= 0),  -- rows are those of the events up to here
    head       bigint      NOT NULL,                        -- of the ledger, when it was last looked at
    tables     text[]      NOT NULL,
    copied     text[]      NOT NULL,                        -- those of them that have the live shape
    holder     text        NOT NULL,                        -- who has worked on it last
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

REVOKE ALL ON projection_rebuilds FROM PUBLIC;
GRANT SELECT ON projection_rebuilds TO agentidp_server;
GRANT SELECT, UPDATE (position, head, holder, updated_at) ON projection_rebuilds TO agentidp_projector;

-- Verification derives rows into temporary tables.
-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO agentidp_projector', current_database());
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION must_be_read_model(model text) RETURNS void LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = 'public' AND tablename = model AND policyname = 'projector') THEN
        RAISE EXCEPTION 'table % is not a read model', model USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
-- +goose StatementEnd

-- begin_rebuild makes empty tables for a rebuild and its row at position 0,
-- whatever an earlier one has left. Of the tables named bare not even the
-- primary key is there before finish_rebuild.
-- +goose StatementBegin
CREATE FUNCTION begin_rebuild(projection text, version_ integer, head_ bigint, tables_ text[], bare text[], holder_ text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    model   text;
    options text;
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
            SELECT array_to_string(reloptions, ', ') INTO options FROM pg_class WHERE oid = format('public.%I', model)::regclass;
            IF options <> '' THEN
                EXECUTE format('ALTER TABLE next.%I SET (%s)', model, options);
            END IF;
            IF model <> ALL (bare) THEN
                FOR def IN
                    SELECT conname, pg_get_constraintdef(oid) AS text FROM pg_constraint
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

-- finish_rebuild makes one index that the live tables have and the new ones
-- lack, and tells its name; NULL when none is lacking.
-- +goose StatementBegin
CREATE FUNCTION finish_rebuild(projection text)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET maintenance_work_mem = '128MB' AS $$
DECLARE
    def record;
BEGIN
    SELECT t.relname AS model, i.relname AS index, c.conname AS constraint,
            coalesce(pg_get_constraintdef(c.oid), pg_get_indexdef(i.oid)) AS text
        INTO def
        FROM public.projection_rebuilds r
        CROSS JOIN unnest(r.copied) AS copied (model)
        JOIN pg_class t ON t.oid = to_regclass(format('public.%I', copied.model))
        JOIN pg_index x ON x.indrelid = t.oid
        JOIN pg_class i ON i.oid = x.indexrelid
        LEFT JOIN pg_constraint c ON c.conindid = i.oid AND c.contype IN ('p', 'u')
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
CREATE FUNCTION protect_next(model text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    live pg_class;
    rule record;
BEGIN
    SELECT * INTO STRICT live FROM pg_class WHERE oid = format('public.%I', model)::regclass;
    EXECUTE format('REVOKE ALL ON next.%I FROM PUBLIC, agentidp_projector', model);
    FOR rule IN SELECT grantee, privilege_type, is_grantable FROM aclexplode(live.relacl) WHERE grantee <> live.relowner LOOP
        EXECUTE format('GRANT %s ON next.%I TO %s%s', rule.privilege_type, model,
            CASE rule.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(rule.grantee)) END,
            CASE WHEN rule.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
    FOR rule IN SELECT p.*, (SELECT string_agg(quote_ident(r), ', ') FROM unnest(p.roles) r) AS to_roles
            FROM pg_policies p WHERE schemaname = 'public' AND tablename = model LOOP
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
CREATE FUNCTION protect_rebuild(projection text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    model text;
BEGIN
    FOR model IN SELECT unnest(tables) FROM public.projection_rebuilds WHERE name = projection LOOP
        PERFORM public.must_be_read_model(model);
        PERFORM public.protect_next(model);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- switch_rebuild lets the new tables take the place of the live ones and ends
-- the rebuild. It follows protect_rebuild in one transaction, of which the
-- caller has set how long readers may be kept waiting: lock_timeout.
-- +goose StatementBegin
CREATE FUNCTION switch_rebuild(projection text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    models text[] := (SELECT tables FROM public.projection_rebuilds WHERE name = projection);
    model  text;
BEGIN
    EXECUTE (SELECT format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', string_agg(format('public.%I', m), ', ')) FROM unnest(models) AS m);
    FOREACH model IN ARRAY models LOOP
        PERFORM public.must_be_read_model(model);
        EXECUTE format('ALTER TABLE public.%I SET SCHEMA previous', model);
        EXECUTE format('ALTER TABLE next.%I SET SCHEMA public', model);
        PERFORM public.must_be_read_model(model); -- so it has been protected
    END LOOP;
    DELETE FROM public.projection_rebuilds WHERE name = projection;
END
$$;
-- +goose StatementEnd

-- drop_previous drops what a switch has left behind.
-- +goose StatementBegin
CREATE FUNCTION drop_previous(tables_ text[])
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
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
CREATE FUNCTION analyze_next(projection text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    model text;
BEGIN
    FOR model IN SELECT unnest(tables) FROM public.projection_rebuilds WHERE name = projection LOOP
        EXECUTE format('ANALYZE next.%I', model);
    END LOOP;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION must_be_read_model, begin_rebuild, finish_rebuild, protect_next, protect_rebuild, switch_rebuild, drop_previous, analyze_next
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_rebuild, finish_rebuild, analyze_next, protect_rebuild, switch_rebuild, drop_previous TO agentidp_projector;
