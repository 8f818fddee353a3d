-- +goose Up
-- The keys of agents' DIDs, as their events make them.
CREATE TABLE dids (
    agent_id         uuid        PRIMARY KEY,
    organization_id  uuid        NOT NULL,
    did              text        NOT NULL,
    key_number       integer     NOT NULL, -- of the newest key
    public_jwk       json        NOT NULL,
    custody          text        NOT NULL,
    key_created_at   timestamptz NOT NULL,
    retired          json        NOT NULL, -- the newest of those before it, newest last
    created_position bigint      NOT NULL,
    changed_position bigint      NOT NULL,
    created_at       timestamptz NOT NULL
);
INSERT INTO read_models (name) VALUES ('dids');

REVOKE ALL ON dids FROM PUBLIC;
GRANT SELECT ON dids TO agentidp_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON dids TO agentidp_projector;
ALTER TABLE dids ENABLE ROW LEVEL SECURITY;
ALTER TABLE dids FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON dids FOR SELECT TO agentidp_server
    USING (organization_id = nullif(current_setting('agentidp.organization', true), '')::uuid);
CREATE POLICY projector ON dids TO agentidp_projector USING (true) WITH CHECK (true);

-- Private halves of the keys that servers made, sealed under the master key. A row
-- is written before the event that tells of its key, so one may be of a key that
-- never came to be: those are swept.
CREATE TABLE did_keys (
    kid            text        PRIMARY KEY, -- RFC 7638 thumbprint
    agent_id       uuid,                    -- NULL: the server's own DID
    sealed_private bytea       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX did_keys_age_idx ON did_keys (created_at);
REVOKE ALL ON did_keys FROM PUBLIC;
GRANT SELECT, INSERT, DELETE ON did_keys TO agentidp_server;
