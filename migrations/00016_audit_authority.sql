-- +goose Up
-- Who did what, and by whose authority. The columns are empty until the read model
-- has been rebuilt, which a server of this version does when it starts.

ALTER TABLE audit_events
    ADD COLUMN actor_kind   text,
    ADD COLUMN actor_id     uuid, -- NULL: of an actor that has no id
    ADD COLUMN on_behalf_of uuid, -- whose authority it was done with; NULL: the actor's own
    ADD COLUMN delegation   uuid; -- by which that was lent
-- The issuances of an agent's tokens are found by audit_events_agent_idx.
CREATE INDEX audit_events_actor_idx ON audit_events (actor_id, position DESC) WHERE action <> 'token.issued';
CREATE INDEX audit_events_actor_kind_idx ON audit_events (organization_id, actor_kind, position DESC) WHERE actor_kind <> 'agent';
CREATE INDEX audit_events_on_behalf_of_idx ON audit_events (on_behalf_of, position DESC) WHERE on_behalf_of IS NOT NULL;

-- The issuances of tokens that act under a delegation: what was done with such a
-- token names one of them as its causation.
CREATE TABLE delegated_tokens (
    event_id        uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    delegation      uuid NOT NULL,
    on_behalf_of    uuid NOT NULL
);
INSERT INTO read_models (name) VALUES ('delegated_tokens');

REVOKE ALL ON delegated_tokens FROM PUBLIC;
GRANT SELECT ON delegated_tokens TO agentidp_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON delegated_tokens TO agentidp_projector;
ALTER TABLE delegated_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE delegated_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON delegated_tokens FOR SELECT TO agentidp_server
    USING (organization_id = nullif(current_setting('agentidp.organization', true), '')::uuid);
CREATE POLICY projector ON delegated_tokens TO agentidp_projector USING (true) WITH CHECK (true);
