-- Run once, as the superuser, when the cluster is made: two logins and the
-- database. docs/runbooks/postgresql.md says the same of a PostgreSQL of one's own.
--
-- agentidp_owner makes the schema and the roles of the server. It is no superuser:
-- whoever gets at it owns the database, and neither the cluster nor its machine.
-- agentidp is the server's login. It owns nothing; the migrations say what it may do.
\set ON_ERROR_STOP on
\getenv owner_password AGENTIDP_OWNER_PASSWORD
\getenv password AGENTIDP_DB_PASSWORD
CREATE ROLE agentidp_owner LOGIN CREATEROLE PASSWORD :'owner_password';
CREATE ROLE agentidp LOGIN PASSWORD :'password';
CREATE DATABASE agentidp OWNER agentidp_owner;
REVOKE CONNECT, TEMPORARY ON DATABASE agentidp FROM PUBLIC;
GRANT CONNECT ON DATABASE agentidp TO agentidp;
\connect agentidp
ALTER SCHEMA public OWNER TO agentidp_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
