-- Run once, as the owner, when the database is made: the login of the server.
-- It owns nothing; what it may do is given to it by the migrations.
\set ON_ERROR_STOP on
\getenv password AGENTIDP_DB_PASSWORD
CREATE ROLE agentidp LOGIN PASSWORD :'password';
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
