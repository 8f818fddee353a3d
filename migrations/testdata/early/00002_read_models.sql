-- +goose Up
-- What the ledger looks like now: derived tables, filled by projections in
-- ledger order and by nobody else. All of it can be thrown away and rebuilt.
--
-- Every row that belongs to a tenant carries its organization, and row-level
-- security shows it only where agentidp.organization names that organization:
-- with none set there are no rows. The projector sees and writes all rows.

-- How far each projection has come. It moves in the transaction that writes
-- the rows, so the two never disagree.
CREATE TABLE projection_checkpoints (
    name            text        PRIMARY KEY,
    version         integer     NOT NULL,
    position        bigint      NOT NULL CHECK (position >= 0),
    state           text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'halted')),
    error           text        NOT NULL DEFAULT '', -- why it halted
    failed_position bigint,                          -- the event it cannot get past
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'halted') = (failed_position IS NOT NULL))
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE organizations (
    organization_id      uuid        PRIMARY KEY,
    name                 text        NOT NULL,
    slug                 text        NOT NULL,
    plan_tier            text        NOT NULL,
    max_agents           integer,              -- NULL: the tier's own
    max_tokens_per_month integer,              -- NULL: the tier's own
    status               text        NOT NULL,
    created_position     bigint      NOT NULL,
    changed_position     bigint      NOT NULL, -- of the newest event in this row
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL
);
CREATE INDEX organizations_newest_idx ON organizations (created_position DESC);

CREATE TABLE organization_members (
    organization_id  uuid        NOT NULL,
    agent_id         uuid        NOT NULL,
    role             text        NOT NULL,
    changed_position bigint      NOT NULL,
    added_at         timestamptz NOT NULL,
    PRIMARY KEY (organization_id, agent_id)
);

-- Metadata is text, not json: PostgreSQL shall keep it, not have an opinion
-- about how deep it nests.
CREATE TABLE agents (
    agent_id         uuid        PRIMARY KEY,
    organization_id  uuid        NOT NULL,
    email            text        NOT NULL,
    agent_type       text        NOT NULL,
    version          text        NOT NULL,
    capabilities     text[]      NOT NULL,
    owner            text        NOT NULL,
    deployment_env   text        NOT NULL,
    description      text        NOT NULL,
    metadata         text        NOT NULL,
    is_public        boolean     NOT NULL,
    scopes           text[]      NOT NULL,
    status           text        NOT NULL,
    did              text        NOT NULL,
    edition          integer     NOT NULL,
    created_position bigint      NOT NULL,
    changed_position bigint      NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL
) WITH (fillfactor = 90);
CREATE INDEX agents_newest_idx ON agents (organization_id, created_position DESC);
CREATE INDEX agents_owner_idx ON agents (organization_id, owner, created_position DESC);
CREATE INDEX agents_newest_of_all_idx ON agents (created_position DESC);

-- Nothing here can authenticate: verifiers stay in the ledger.
CREATE TABLE credentials (
    credential_id    uuid        PRIMARY KEY,
    agent_id         uuid        NOT NULL,
    organization_id  uuid        NOT NULL,
    kind             text        NOT NULL,
    status           text        NOT NULL,
    public_jwk       text,
    created_position bigint      NOT NULL,
    changed_position bigint      NOT NULL,
    created_at       timestamptz NOT NULL,
    rotated_at       timestamptz,
    revoked_at       timestamptz,
    expires_at       timestamptz
) WITH (fillfactor = 90);
CREATE INDEX credentials_agent_idx ON credentials (agent_id, created_position DESC);

-- The audit trail's index. What an event says is read from the ledger.
CREATE TABLE audit_events (
    position        bigint      NOT NULL,
    revision        bigint      NOT NULL,
    recorded_at     timestamptz NOT NULL,
    event_id        uuid        NOT NULL,
    organization_id uuid,                 -- NULL: nobody's, the operator's to see
    agent_id        uuid,
    action          text        NOT NULL,
    outcome         text        NOT NULL,
    stream          text        NOT NULL,
    PRIMARY KEY (position)
) WITH (autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX audit_events_organization_idx ON audit_events (organization_id, position DESC);
CREATE INDEX audit_events_agent_idx ON audit_events (agent_id, position DESC) WHERE agent_id IS NOT NULL;
CREATE INDEX audit_events_time_idx ON audit_events USING brin (recorded_at) WITH (pages_per_range = 32, autosummarize = on);
-- Nearly all events are token issuances; what is rare among them is found here.
CREATE INDEX audit_events_action_idx ON audit_events (organization_id, action, position DESC)
    WHERE action <> 'token.issued';
CREATE INDEX audit_events_action_of_all_idx ON audit_events (action, position DESC)
    WHERE action <> 'token.issued';

CREATE TABLE agent_activity (
    agent_id         uuid        PRIMARY KEY,
    organization_id  uuid        NOT NULL,
    last_auth_at     timestamptz NOT NULL,
    changed_position bigint      NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE token_usage (
    organization_id  uuid    NOT NULL,
    day              date    NOT NULL, -- in UTC
    count            bigint  NOT NULL,
    changed_position bigint  NOT NULL, -- issuances up to here are counted
    PRIMARY KEY (organization_id, day)
) WITH (fillfactor = 50);

-- +goose StatementBegin
DO $$
DECLARE
    model text;
BEGIN
    FOREACH model IN ARRAY ARRAY['organizations', 'organization_members', 'agents', 'credentials',
                                 'audit_events', 'agent_activity', 'token_usage'] LOOP
        EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', model);
        EXECUTE format('GRANT SELECT ON %I TO agentidp_server', model);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO agentidp_projector', model);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', model);
        EXECUTE format($policy$CREATE POLICY tenant ON %I FOR SELECT TO agentidp_server
            USING (organization_id = nullif(current_setting('agentidp.organization', true), '')::uuid)$policy$, model);
        EXECUTE format('CREATE POLICY projector ON %I TO agentidp_projector USING (true) WITH CHECK (true)', model);
    END LOOP;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON projection_checkpoints FROM PUBLIC;
GRANT SELECT ON projection_checkpoints TO agentidp_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON projection_checkpoints TO agentidp_projector;
