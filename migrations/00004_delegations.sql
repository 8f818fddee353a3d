-- +goose Up
-- What agents have lent each other, as the ledger has it now. Whether a
-- delegation can be used is not told by its row alone: it ends with those above
-- it, and rests while one of its agents is suspended.

CREATE TABLE delegations (
    chain_id           uuid        PRIMARY KEY,
    organization_id    uuid        NOT NULL,
    delegator_agent_id uuid        NOT NULL,
    delegatee_agent_id uuid        NOT NULL,
    parent_chain_id    uuid,                 -- NULL: at the root
    scopes             text[]      NOT NULL,
    ttl_seconds        integer     NOT NULL,
    max_depth          integer     NOT NULL,
    depth              integer     NOT NULL,
    created_position   bigint      NOT NULL,
    changed_position   bigint      NOT NULL, -- of the newest event in this row
    created_at         timestamptz NOT NULL,
    expires_at         timestamptz NOT NULL,
    revoked_at         timestamptz
) WITH (fillfactor = 90);
CREATE INDEX delegations_delegator_idx ON delegations (delegator_agent_id, created_position DESC);
CREATE INDEX delegations_delegatee_idx ON delegations (delegatee_agent_id, created_position DESC);

REVOKE ALL ON delegations FROM PUBLIC;
GRANT SELECT ON delegations TO agentidp_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON delegations TO agentidp_projector;
ALTER TABLE delegations ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON delegations FOR SELECT TO agentidp_server
    USING (organization_id = nullif(current_setting('agentidp.organization', true), '')::uuid);
CREATE POLICY projector ON delegations TO agentidp_projector USING (true) WITH CHECK (true);
