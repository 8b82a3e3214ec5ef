-- The exact sums of every cell of a cube. The places marked with a dollar are filled in from cubes.toml, never from a request.
-- Inside, what each visitor adds to each cell, capped. Names are numbers here (make_names.sql).
WITH (SELECT (groupArray(name), groupArray(number)) FROM {names:Identifier}) AS numbered
SELECT
    tenant_number, day, dim1, dim2,
    toInt64(count()) AS people, toInt64(uniqExact(network_seen)) AS networks,
    toInt64(uniqExactIf(account_seen, account_seen != 0)) AS accounts $sums,
    if(people <= $kept_max, groupArray($kept_max)((person, network_seen, account_seen $names)), []) AS who
FROM
(
    SELECT
        $tenant AS tenant_number, day, $dim1 AS dim1, $dim2 AS dim2, $person AS person,
        any(network) AS network_seen, max(account) AS account_seen $measures
    FROM {rows:Identifier}
    WHERE $kept
    GROUP BY tenant_number, day, dim1, dim2, person
)
GROUP BY tenant_number, day, dim1, dim2
SETTINGS max_threads = 1 -- on a few hundred thousand rows threads cost a quarter more CPU and save little time
