-- +goose Up
-- What the write side keeps beside the ledger: caches and single-use tokens,
-- nothing that could not be lost without losing truth. No tenant ever reads it.

CREATE TABLE snapshots (
    stream   text        PRIMARY KEY,
    shape    text        NOT NULL, -- names the JSON shape of state
    revision bigint      NOT NULL,
    hash     bytea       NOT NULL, -- of the event at that revision
    state    bytea       NOT NULL,
    saved_at timestamptz NOT NULL
);

CREATE TABLE idempotency_keys (
    client      uuid        NOT NULL,
    key         bytea       NOT NULL, -- SHA-256 of the key
    request     bytea       NOT NULL, -- SHA-256 of the request
    seed        uuid        NOT NULL, -- id of what the request makes
    answer      bytea,                -- sealed; NULL while the request is worked on
    lease_until timestamptz NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (client, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE TABLE used_assertions (
    client     uuid        NOT NULL,
    jti        bytea       NOT NULL, -- SHA-256 of the jti
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (client, jti)
);
CREATE INDEX used_assertions_expiry ON used_assertions (expires_at);

CREATE TABLE signing_keys (
    kid            text        PRIMARY KEY, -- RFC 7638 thumbprint
    alg            text        NOT NULL,
    public_jwk     jsonb       NOT NULL,
    sealed_private bytea       NOT NULL,    -- under the master key
    created_at     timestamptz NOT NULL DEFAULT now(),
    retired_at     timestamptz
);

GRANT SELECT, INSERT, UPDATE, DELETE ON snapshots, idempotency_keys TO agentidp_server;
GRANT SELECT, INSERT, DELETE ON used_assertions TO agentidp_server;
GRANT SELECT, INSERT ON signing_keys TO agentidp_server;
