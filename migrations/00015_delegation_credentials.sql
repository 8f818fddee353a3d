-- +goose Up
-- Which credential the token had that a delegation was made with: revoking or
-- rotating it ends the delegation. NULL where the event does not tell, as those
-- from before this migration.

ALTER TABLE delegations ADD COLUMN credential_id uuid;
CREATE INDEX delegations_credential_idx ON delegations (credential_id) WHERE revoked_at IS NULL;
