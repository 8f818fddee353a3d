-- +goose NO TRANSACTION
-- +goose Up
-- Finds the events of one organization among those of all others: who verifies,
-- exports or looks at its own part of the ledger reads that part alone.
--
-- CONCURRENTLY, because this table may be very large and servers go on appending
-- to it meanwhile. A build that was broken off leaves an index that is not used;
-- dropping it first lets the migration be run again. No two entries are the same,
-- so looking for duplicates on every full page would cost appends for nothing.
DROP INDEX CONCURRENTLY IF EXISTS events_organization_position_idx;
CREATE INDEX CONCURRENTLY events_organization_position_idx ON events (organization_id, position)
    WITH (deduplicate_items = off);
