-- +goose Up
-- What happens to a signing key is told by the ledger, in the stream signing_key-all.
-- This is what servers need beside that. retired_at says to servers of an older
-- version, which know nothing of that stream, that a key signs nothing: it is set
-- while a key waits for its first use, too.
ALTER TABLE signing_keys
    ADD COLUMN served_at   timestamptz,                    -- since when every live server has it in its JWKS
    ADD COLUMN verify_only boolean NOT NULL DEFAULT false; -- then sealed_private holds the public half, for nobody to put another there

GRANT DELETE, UPDATE (retired_at, served_at) ON signing_keys TO agentidp_server;

-- The servers that are there, and which keys each has in its JWKS. A row that was not
-- renewed for some seconds counts for nothing.
CREATE TABLE signing_key_servers (
    server  uuid        PRIMARY KEY,
    kids    text[]      NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);

REVOKE ALL ON signing_key_servers FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON signing_key_servers TO agentidp_server;
