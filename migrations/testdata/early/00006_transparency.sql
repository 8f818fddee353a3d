-- +goose Up
-- The logs that prove the ledger (RFC 6962): one of the whole ledger, under the
-- zero UUID, and one of each organization. Logs and tiles are a read model like
-- any other; checkpoints and cosignatures are not: what was signed was signed.

CREATE TABLE transparency_logs (
    organization_id  uuid   PRIMARY KEY,
    size             bigint NOT NULL CHECK (size > 0),
    edge             bytea  NOT NULL, -- the complete subtrees, largest first
    changed_position bigint NOT NULL  -- of the newest event in the log
) WITH (fillfactor = 50);

CREATE TABLE transparency_tiles (
    organization_id uuid     NOT NULL,
    level           smallint NOT NULL,
    number          bigint   NOT NULL,
    first_position  bigint   NOT NULL, -- of its first event, on level 0; else 0
    hashes          bytea    NOT NULL, -- level 0: hashes of events; above: of subtrees
    PRIMARY KEY (organization_id, level, number)
) WITH (fillfactor = 70);
-- Hashes do not compress.
ALTER TABLE transparency_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
-- Finds the tile that an event is in.
CREATE INDEX transparency_tiles_position_idx ON transparency_tiles (organization_id, first_position) WHERE level = 0;

CREATE TABLE checkpoints (
    organization_id uuid        NOT NULL,
    size            bigint      NOT NULL,
    root            bytea       NOT NULL CHECK (octet_length(root) = 32),
    position        bigint      NOT NULL, -- of the newest event in it
    note            bytea       NOT NULL, -- as it was signed
    signed_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, size)
);

CREATE TABLE checkpoint_cosignatures (
    organization_id uuid        NOT NULL,
    size            bigint      NOT NULL,
    witness         text        NOT NULL, -- name of its key
    key_hash        bigint      NOT NULL,
    line            text        NOT NULL, -- as it stands in the note
    cosigned_at     timestamptz NOT NULL,
    PRIMARY KEY (organization_id, size, witness, key_hash),
    FOREIGN KEY (organization_id, size) REFERENCES checkpoints
);

-- +goose StatementBegin
DO $$
DECLARE
    model text;
BEGIN
    FOREACH model IN ARRAY ARRAY['transparency_logs', 'transparency_tiles', 'checkpoints', 'checkpoint_cosignatures'] LOOP
        EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', model);
        EXECUTE format('GRANT SELECT ON %I TO agentidp_server', model);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', model);
        EXECUTE format($policy$CREATE POLICY tenant ON %I FOR SELECT TO agentidp_server
            USING (organization_id = nullif(current_setting('agentidp.organization', true), '')::uuid)$policy$, model);
        EXECUTE format('CREATE POLICY projector ON %I TO agentidp_projector USING (true) WITH CHECK (true)', model);
    END LOOP;
END
$$;
-- +goose StatementEnd
GRANT SELECT, INSERT, UPDATE, DELETE ON transparency_logs, transparency_tiles TO agentidp_projector;
GRANT SELECT, INSERT ON checkpoints TO agentidp_projector;
GRANT SELECT, INSERT, UPDATE ON checkpoint_cosignatures TO agentidp_projector;
