-- +goose Up

-- Roles belong to the whole cluster: another database of it may have them
-- already, or may be creating them right now.
--
-- agentidp_server     what a serving process may do; its login is granted it
-- agentidp_projector  writes read models and sees every organization
--
-- agentidp_server is a member of agentidp_projector and does not inherit from
-- it: a login has the server's rights at once, and those of the projector only
-- inside a transaction that says SET LOCAL ROLE agentidp_projector.
-- +goose StatementBegin
DO $$
BEGIN
    BEGIN
        CREATE ROLE agentidp_server NOLOGIN NOINHERIT;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    BEGIN
        CREATE ROLE agentidp_projector NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
END
$$;
-- +goose StatementEnd

-- Who is a member of what: the login named agentidp, where there is one, and
-- the owner, so that one URL can do for everything.
-- +goose StatementBegin
DO $$
DECLARE
    pair text[];
BEGIN
    FOREACH pair SLICE 1 IN ARRAY ARRAY[
        ['agentidp_projector', 'agentidp_server'],
        ['agentidp_server', 'agentidp'],
        ['agentidp_server', current_user::text]
    ] LOOP
        CONTINUE WHEN pair[1] = pair[2] OR NOT EXISTS (SELECT FROM pg_roles WHERE rolname = pair[2]);
        -- Two databases of a cluster that migrate at once may both find the
        -- membership missing, and one of them then loses.
        FOR attempt IN 1..10 LOOP
            EXIT WHEN EXISTS (
                SELECT FROM pg_auth_members m
                WHERE m.roleid = pair[1]::regrole AND m.member = pair[2]::regrole
            );
            BEGIN
                EXECUTE format('GRANT %I TO %I', pair[1], pair[2]);
            EXCEPTION
                WHEN unique_violation OR internal_error THEN
                    PERFORM pg_sleep(0.02);
            END;
        END LOOP;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- The ledger. What counts is the record, frozen bytes whose SHA-256 is hash;
-- the other columns repeat what stands in it so that it can be found, and
-- verification compares them. Positions are dense: 1, 2, 3, …
CREATE TABLE events (
    position        bigint      NOT NULL CHECK (position > 0),
    revision        bigint      NOT NULL CHECK (revision >= 0),
    recorded_at     timestamptz NOT NULL,
    id              uuid        NOT NULL,
    organization_id uuid,
    stream          text        NOT NULL,
    type            text        NOT NULL,
    record          bytea       NOT NULL,
    hash            bytea       NOT NULL CHECK (octet_length(hash) = 32),
    CONSTRAINT events_pkey PRIMARY KEY (position),
    CONSTRAINT events_id_key UNIQUE (id),
    CONSTRAINT events_stream_revision_key UNIQUE (stream, revision)
) WITH (
    -- Rows never change: freeze them with the first vacuum, and let it follow
    -- the inserts closely enough that reading stays index-only where it can.
    autovacuum_freeze_min_age = 0,
    autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02
);

-- Large records go out of line as they are: compressing them would cost every
-- append and every verification, and the bytes are what is hashed.
ALTER TABLE events ALTER COLUMN record SET STORAGE EXTERNAL;
ALTER TABLE events ALTER COLUMN hash SET STORAGE PLAIN;

-- Finds the rare among the many: consumers of a few types do not wade through
-- token issuances. Queries that use it repeat its condition.
CREATE INDEX events_type_position_idx ON events (type, position)
    WHERE type <> 'token.issued' AND type <> 'auth.failed';

CREATE INDEX events_recorded_at_idx ON events USING brin (recorded_at) WITH (pages_per_range = 32);

-- The newest position. Whoever appends locks this row first, so positions are
-- assigned, and become visible, one after another.
CREATE TABLE ledger_head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    position  bigint  NOT NULL CHECK (position >= 0)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
INSERT INTO ledger_head (position) VALUES (0);

-- +goose StatementBegin
CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused for every role', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'To correct what an event says, append another event. '
                  || 'To start over, create a new database; to go back, restore a backup.';
END
$$;
-- +goose StatementEnd

-- ALWAYS: also where session_replication_role = replica silences triggers.
CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
ALTER TABLE events ENABLE ALWAYS TRIGGER events_are_append_only;

CREATE TRIGGER ledger_head_stays BEFORE DELETE OR TRUNCATE ON ledger_head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
ALTER TABLE ledger_head ENABLE ALWAYS TRIGGER ledger_head_stays;

CREATE TRIGGER ledger_head_moves_forward BEFORE UPDATE ON ledger_head
    FOR EACH ROW WHEN (NEW.position <= OLD.position) EXECUTE FUNCTION refuse_ledger_change();
ALTER TABLE ledger_head ENABLE ALWAYS TRIGGER ledger_head_moves_forward;

REVOKE ALL ON events, ledger_head FROM PUBLIC;
GRANT SELECT, INSERT ON events TO agentidp_server;
GRANT SELECT, UPDATE ON ledger_head TO agentidp_server;
GRANT SELECT ON events, ledger_head TO agentidp_projector;

-- So that a server can tell whether its database is up to date.
GRANT SELECT ON goose_db_version TO agentidp_server;
