-- +goose Up
-- Four migrations were changed in the first days, after databases had been made
-- with them. This brings those to what the others have, and changes nothing else.

-- 00002 was without audit_counts.
-- +goose StatementBegin
DO $$
BEGIN
    IF to_regclass('public.audit_counts') IS NOT NULL THEN
        RETURN;
    END IF;
    CREATE TABLE public.audit_counts (
        organization_id  uuid   NOT NULL, -- the zero UUID where the event is nobody's
        day              date   NOT NULL, -- in UTC
        action           text   NOT NULL,
        outcome          text   NOT NULL,
        count            bigint NOT NULL,
        changed_position bigint NOT NULL, -- events up to here are counted
        PRIMARY KEY (organization_id, day, action, outcome)
    ) WITH (fillfactor = 50);
    ALTER TABLE public.audit_events NO FORCE ROW LEVEL SECURITY;
    INSERT INTO public.audit_counts (organization_id, day, action, outcome, count, changed_position)
        SELECT coalesce(organization_id, '00000000-0000-0000-0000-000000000000'), (recorded_at AT TIME ZONE 'UTC')::date, action, outcome,
            count(*), max(position)
        FROM public.audit_events GROUP BY 1, 2, 3, 4;
    ALTER TABLE public.audit_events FORCE ROW LEVEL SECURITY;
END
$$;
-- +goose StatementEnd

-- 00003 was without the request that works on an idempotency key. Nobody works on
-- those that are there from before.
ALTER TABLE idempotency_keys ADD COLUMN IF NOT EXISTS holder uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE idempotency_keys ALTER COLUMN holder DROP DEFAULT;

-- 00006 was without the name under which a checkpoint was signed, which is the
-- first line of its note.
-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = 'public.checkpoints'::regclass AND attname = 'origin') THEN
        RETURN;
    END IF;
    ALTER TABLE public.checkpoints NO FORCE ROW LEVEL SECURITY, ADD COLUMN origin text;
    ALTER TABLE public.checkpoint_cosignatures NO FORCE ROW LEVEL SECURITY, ADD COLUMN origin text;
    UPDATE public.checkpoints SET origin = split_part(convert_from(note, 'UTF8'), E'\n', 1);
    UPDATE public.checkpoint_cosignatures s SET origin = c.origin FROM public.checkpoints c
        WHERE c.organization_id = s.organization_id AND c.size = s.size;
    ALTER TABLE public.checkpoint_cosignatures
        DROP CONSTRAINT checkpoint_cosignatures_organization_id_size_fkey,
        DROP CONSTRAINT checkpoint_cosignatures_pkey;
    ALTER TABLE public.checkpoints ALTER COLUMN origin SET NOT NULL,
        DROP CONSTRAINT checkpoints_pkey, ADD PRIMARY KEY (organization_id, origin, size);
    ALTER TABLE public.checkpoint_cosignatures ALTER COLUMN origin SET NOT NULL,
        ADD PRIMARY KEY (organization_id, origin, size, witness, key_hash),
        ADD FOREIGN KEY (organization_id, origin, size) REFERENCES public.checkpoints;
    ALTER TABLE public.checkpoints FORCE ROW LEVEL SECURITY;
    ALTER TABLE public.checkpoint_cosignatures FORCE ROW LEVEL SECURITY;
END
$$;
-- +goose StatementEnd

-- 00007 was without fits_live, which 00012 has made.
