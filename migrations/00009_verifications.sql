-- +goose Up
-- How far the ledger has been verified, so that verifying what is new takes no
-- longer than there is of it: an event, how many there are up to it, and the
-- right edge of the tree over them. Nothing is believed that stands here: the
-- edge has to have the root of the log.
CREATE TABLE verifications (
    singleton   boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
    position    bigint      NOT NULL,
    size        bigint      NOT NULL CHECK (size > 0),
    edge        bytea       NOT NULL, -- the complete subtrees, largest first
    verified_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 10);

REVOKE ALL ON verifications FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON verifications TO agentidp_server;
