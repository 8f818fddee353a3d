-- +goose Up
-- How the jobs that run by themselves went last. One process at a time runs a
-- job; the term says which one, so that one that has lost the right without
-- knowing it writes nothing.
CREATE TABLE job_runs (
    name        text        PRIMARY KEY,
    term        bigint      NOT NULL,            -- counts those who had the right to run it
    interval_ms bigint      NOT NULL CHECK (interval_ms > 0),
    outcome     text        CHECK (outcome IN ('passed', 'failed', 'error')), -- NULL: it has never run
    detail      text        NOT NULL DEFAULT '', -- for operators
    count       bigint      NOT NULL DEFAULT 0,  -- of what the job counts
    started_at  timestamptz,
    finished_at timestamptz,
    duration_us bigint      NOT NULL DEFAULT 0,
    next_at     timestamptz NOT NULL,
    CHECK ((outcome IS NULL) = (started_at IS NULL) AND (outcome IS NULL) = (finished_at IS NULL))
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON job_runs TO agentidp_server;

-- For the scan that looks for credentials whose time has run out.
CREATE INDEX credentials_expiry_idx ON credentials (expires_at)
    WHERE status = 'active' AND expires_at IS NOT NULL;
