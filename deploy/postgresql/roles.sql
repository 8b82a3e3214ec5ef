-- A database and roles for each plane. Run by a superuser, as often as you like:
--     psql -f deploy/postgresql/roles.sql postgres
-- Then give each role a password (\password voile_ingest), let the owners make the tables, and run grants.sql:
-- see docs/production.md.
--
-- voile_PLANE_owner          makes and changes tables: voile db upgrade, and nobody else
-- voile_PLANE                the plane's services: rows, no tables
-- voile_statistics_server    voile stats serve: only what the pages show and who signs in; its rights are in grants.sql
--
-- No role may enter another plane's database.
\set ON_ERROR_STOP on

CREATE TEMPORARY TABLE wanted (role text, plane text, owner boolean);
INSERT INTO wanted VALUES
    ('voile_ingest_owner', 'ingest', true), ('voile_ingest', 'ingest', false),
    ('voile_identity_owner', 'identity', true), ('voile_identity', 'identity', false),
    ('voile_statistics_owner', 'statistics', true), ('voile_statistics', 'statistics', false),
    ('voile_statistics_server', 'statistics', false);

SELECT format('CREATE ROLE %I LOGIN NOINHERIT NOCREATEDB NOCREATEROLE', role)
FROM wanted WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec
SELECT format('CREATE DATABASE %I OWNER %I', 'voile_' || plane, role)
FROM wanted WHERE owner AND NOT EXISTS (SELECT FROM pg_database WHERE datname = 'voile_' || plane) \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', 'voile_' || plane) FROM wanted WHERE owner \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', 'voile_' || plane, role) FROM wanted \gexec

\connect voile_ingest
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO voile_ingest_owner;
GRANT USAGE ON SCHEMA public TO voile_ingest;
ALTER DEFAULT PRIVILEGES FOR ROLE voile_ingest_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO voile_ingest;
ALTER DEFAULT PRIVILEGES FOR ROLE voile_ingest_owner GRANT USAGE ON SEQUENCES TO voile_ingest;

\connect voile_identity
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO voile_identity_owner;
GRANT USAGE ON SCHEMA public TO voile_identity;
ALTER DEFAULT PRIVILEGES FOR ROLE voile_identity_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO voile_identity;
ALTER DEFAULT PRIVILEGES FOR ROLE voile_identity_owner GRANT USAGE ON SEQUENCES TO voile_identity;

\connect voile_statistics
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO voile_statistics_owner;
GRANT USAGE ON SCHEMA public TO voile_statistics, voile_statistics_server;
ALTER DEFAULT PRIVILEGES FOR ROLE voile_statistics_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO voile_statistics;
ALTER DEFAULT PRIVILEGES FOR ROLE voile_statistics_owner GRANT USAGE ON SEQUENCES TO voile_statistics;
