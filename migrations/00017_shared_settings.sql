-- +goose Up
-- What the servers on this database have agreed on. The first one that starts
-- writes its settings here, and none starts with others.
CREATE TABLE shared_settings (
    name  text PRIMARY KEY,
    value text NOT NULL
);

REVOKE ALL ON shared_settings FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON shared_settings TO agentidp_server;
