-- Two users of the statistics store on a ClickHouse server: the worker inserts, the server selects published cells.
-- Not run here: no ClickHouse server was at hand (docs/status.md). Run it by an administrator, after giving each user a password:
--     clickhouse-client --multiquery --queries-file deploy/clickhouse/users.sql
-- The worker makes the tables at its start; start it once before the server.

CREATE DATABASE IF NOT EXISTS voile;

-- voile stats run. Rows are deleted when a day closes and when somebody is erased; a closing makes tables of its own in memory and
-- drops them; a part that is not whole is detached; merges stop while the disk is low.
CREATE USER IF NOT EXISTS voile_worker IDENTIFIED WITH sha256_password BY 'change me before you run this' HOST IP '10.0.0.0/8';
GRANT SELECT, INSERT, ALTER, CREATE TABLE, DROP TABLE, TRUNCATE, OPTIMIZE, CHECK ON voile.* TO voile_worker;
GRANT SYSTEM MERGES ON voile.events TO voile_worker;
GRANT SELECT ON system.parts TO voile_worker;
GRANT SELECT ON system.detached_parts TO voile_worker;
GRANT SELECT ON system.disks TO voile_worker;
GRANT SELECT ON system.tables TO voile_worker;

-- voile stats serve. No event, no active account, no table in memory: only what was published. It can write nothing, whoever has its password.
CREATE SETTINGS PROFILE IF NOT EXISTS voile_reading SETTINGS readonly = 2, max_execution_time = 30, max_memory_usage = 2000000000;
CREATE USER IF NOT EXISTS voile_server IDENTIFIED WITH sha256_password BY 'change me before you run this' HOST IP '10.0.0.0/8'
    SETTINGS PROFILE voile_reading;
GRANT SELECT ON voile.cells TO voile_server;
