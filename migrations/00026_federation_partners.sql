-- +goose Up
-- Issuers whose tokens are verified here, as the ledger has them now. A partner that
-- was deleted keeps its row, so that nothing is applied to it twice, and is not shown.

CREATE TABLE federation_partners (
    partner_id            uuid        PRIMARY KEY,
    organization_id       uuid        NOT NULL, -- of the operator who registered it
    name                  text        NOT NULL,
    issuer                text        NOT NULL,
    jwks_uri              text        NOT NULL,
    allowed_organizations text[]      NOT NULL,
    status                text        NOT NULL, -- whatever the time is
    expires_at            timestamptz,
    expiry_recorded       boolean     NOT NULL,
    edition               integer     NOT NULL,
    created_position      bigint      NOT NULL,
    changed_position      bigint      NOT NULL, -- of the newest event in this row
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL
) WITH (fillfactor = 90);
CREATE INDEX federation_partners_newest_idx ON federation_partners (created_position DESC);
INSERT INTO read_models (name) VALUES ('federation_partners');

REVOKE ALL ON federation_partners FROM PUBLIC;
GRANT SELECT ON federation_partners TO agentidp_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON federation_partners TO agentidp_projector;
ALTER TABLE federation_partners ENABLE ROW LEVEL SECURITY;
ALTER TABLE federation_partners FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON federation_partners FOR SELECT TO agentidp_server
    USING (organization_id = nullif(current_setting('agentidp.organization', true), '')::uuid);
CREATE POLICY projector ON federation_partners TO agentidp_projector USING (true) WITH CHECK (true);
