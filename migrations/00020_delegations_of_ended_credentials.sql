-- +goose Up
-- Credentials that have ended what was lent with them, and at which revision of
-- their agent's stream. A delegation that was made with one at the same moment may
-- come after that in the ledger, and has ended all the same. The table is empty
-- until the read model has been rebuilt, which a server of this version does when
-- it starts.
CREATE TABLE ended_credentials (
    credential_id   uuid   PRIMARY KEY,
    organization_id uuid   NOT NULL,
    revision        bigint NOT NULL -- of the newest such event
);
INSERT INTO read_models (name) VALUES ('ended_credentials');

REVOKE ALL ON ended_credentials FROM PUBLIC;
GRANT SELECT ON ended_credentials TO agentidp_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON ended_credentials TO agentidp_projector;
ALTER TABLE ended_credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE ended_credentials FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON ended_credentials FOR SELECT TO agentidp_server
    USING (organization_id = nullif(current_setting('agentidp.organization', true), '')::uuid);
CREATE POLICY projector ON ended_credentials TO agentidp_projector USING (true) WITH CHECK (true);
