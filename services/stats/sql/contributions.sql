-- What each visitor adds to each of some cells of a cube: those that must merge.
-- The places marked with a dollar are filled in from cubes.toml, never from a request. Names are numbers here.
WITH (SELECT (groupArray(name), groupArray(number)) FROM {names:Identifier}) AS numbered
SELECT
    tenant_number, day, dim1, dim2, person AS visitor, network_seen AS network, account_seen AS account $names
FROM
(
    SELECT
        $tenant AS tenant_number, day, $dim1 AS dim1, $dim2 AS dim2, $person AS person,
        any(network) AS network_seen, max(account) AS account_seen $measures
    FROM {rows:Identifier}
    WHERE $kept AND (tenant_number, day, dim1, dim2) IN (SELECT tenant, day, dim1, dim2 FROM {cells:Identifier})
    GROUP BY tenant_number, day, dim1, dim2, person
)
SETTINGS max_threads = 1 -- on a few hundred thousand rows threads cost a quarter more CPU and save little time
