-- Rights that name tables. Run after each `voile db upgrade`, by a superuser, as often as you like:
--     psql -f deploy/postgresql/grants.sql postgres
\set ON_ERROR_STOP on

-- The record of every look is only ever added to, whoever gets hold of the service's password.
\connect voile_identity
REVOKE UPDATE, DELETE ON audit_leaves, alembic_version FROM voile_identity;
REVOKE INSERT ON alembic_version FROM voile_identity;

\connect voile_ingest
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM voile_ingest;

-- The pages read what is published, and keep who signs in, programs' keys, and what was decided of proposed routes.
-- Not theirs: rights cases, days' cells, the noisy days of releases, leases; of the ledger they read what was charged.
\connect voile_statistics
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM voile_statistics;
-- What was done for partners, and what they took, is added to, and deleted at its term; a restore numbers on.
REVOKE UPDATE ON delivery_acts, downloads FROM voile_statistics;
GRANT UPDATE ON SEQUENCE downloads_id_seq, delivery_acts_id_seq TO voile_statistics;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM voile_statistics_server;
GRANT SELECT ON alembic_version, policies, live_totals, collection_sources, collection_counts, collection_gauges,
    release_days, releases, publications, publication_files, partners, partner_members, partner_keys, partner_terms,
    webhooks TO voile_statistics_server;
-- A partner's member accepts the terms, what is sent is noted first, the operator withdraws.
GRANT SELECT, INSERT ON partner_acceptances, downloads, delivery_acts, webhook_messages TO voile_statistics_server;
GRANT USAGE ON SEQUENCE downloads_id_seq, delivery_acts_id_seq TO voile_statistics_server;
GRANT UPDATE (withdrawn_at, withdrawn_reason) ON releases TO voile_statistics_server;
GRANT DELETE ON webhook_messages TO voile_statistics_server;
GRANT SELECT, UPDATE ON route_proposals TO voile_statistics_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON users, login_links, sessions, credentials, recovery_codes, api_keys
    TO voile_statistics_server;
