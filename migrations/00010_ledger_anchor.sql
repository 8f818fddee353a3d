-- +goose Up
-- An event by which this database knows the ledger that its read models, its
-- signing keys and the tokens signed with them are about. Where the ledger is in
-- another database, the wrong one can be named, or the right one after a move to
-- another engine: the positions in all of these are then of another ledger.
CREATE TABLE ledger_anchor (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    stream    text    NOT NULL,
    revision  bigint  NOT NULL,
    position  bigint  NOT NULL,
    hash      bytea   NOT NULL CHECK (octet_length(hash) = 32)
) WITH (fillfactor = 10);

REVOKE ALL ON ledger_anchor FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON ledger_anchor TO agentidp_server;
