-- +goose Up
-- The index of revocations that every server has in memory, saved now and then so
-- that one that starts need not read the whole ledger for it. It is sealed, and
-- believed only where the ledger has the event that it names.
CREATE TABLE revocation_snapshot (
    singleton boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
    sealed    bytea       NOT NULL,
    saved_at  timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE revocation_snapshot ALTER COLUMN sealed SET STORAGE EXTERNAL; -- it is compressed

REVOKE ALL ON revocation_snapshot FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON revocation_snapshot TO agentidp_server;
