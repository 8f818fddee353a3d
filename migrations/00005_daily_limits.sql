-- +goose Up
-- The limits of a day that override an organization's tier. No organization
-- has any from before this, so the read model needs no rebuilding.
ALTER TABLE organizations
    ADD COLUMN max_calls_per_day  integer, -- NULL: the tier's own
    ADD COLUMN max_tokens_per_day integer; -- NULL: the tier's own
