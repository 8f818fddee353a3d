-- +goose Up
-- The eras of organizations: how often each has ended all of its credentials, and
-- when it did last. A credential that was made at the same moment by who knew of
-- an earlier era comes after that in the ledger, and has ended all the same. Who
-- never did has no row, so nothing needs to be rebuilt.
CREATE TABLE credential_eras (
    organization_id uuid        PRIMARY KEY,
    era             integer     NOT NULL,
    began_at        timestamptz NOT NULL
);
INSERT INTO read_models (name) VALUES ('credential_eras');

REVOKE ALL ON credential_eras FROM PUBLIC;
GRANT SELECT ON credential_eras TO agentidp_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON credential_eras TO agentidp_projector;
ALTER TABLE credential_eras ENABLE ROW LEVEL SECURITY;
ALTER TABLE credential_eras FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON credential_eras FOR SELECT TO agentidp_server
    USING (organization_id = nullif(current_setting('agentidp.organization', true), '')::uuid);
CREATE POLICY projector ON credential_eras TO agentidp_projector USING (true) WITH CHECK (true);

-- What an organization ends in one go is found by it.
CREATE INDEX credentials_organization_idx ON credentials (organization_id) WHERE status <> 'revoked';
CREATE INDEX delegations_organization_idx ON delegations (organization_id) WHERE revoked_at IS NULL;
