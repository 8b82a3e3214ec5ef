-- What each visitor adds to each of some cells of a cube: those that must merge.
-- The places marked with a dollar are filled in from cubes.toml, never from a request.
SELECT
    toString(tenant) AS tenant_name, day, toString(dim1_name) AS dim1, toString(dim2_name) AS dim2, visitor,
    network_seen AS network, account_seen AS account $names
FROM
(
    SELECT
        tenant, day, $dim1 AS dim1_name, $dim2 AS dim2_name, visitor,
        any(network) AS network_seen, max(account) AS account_seen $measures
    FROM {rows:Identifier}
    WHERE $kept AND (tenant, day, dim1_name, dim2_name) IN (SELECT tenant, day, dim1, dim2 FROM {cells:Identifier})
    GROUP BY tenant, day, dim1_name, dim2_name, visitor
)
SETTINGS max_threads = 1 -- on a few hundred thousand rows threads cost a quarter more CPU and save little time
