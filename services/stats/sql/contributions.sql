-- What each visitor adds to each cell of a cube. The places marked with a dollar are filled in from cubes.toml, never from a request.
-- Grouped by the values as they are stored, which are numbers of a dictionary; texts are made of the groups
-- (measured: 0.03 s instead of 0.12 s for 300 000 rows).
SELECT
    toString(tenant) AS tenant_name, day, $dim1 AS dim1, $dim2 AS dim2, visitor,
    network_seen AS network, account_seen AS account $names
FROM
(
    SELECT tenant, day, $raw visitor, any(network) AS network_seen, max(account) AS account_seen $measures
    FROM {rows:Identifier}
    WHERE $kept
    GROUP BY tenant, day, $grouped visitor
)
