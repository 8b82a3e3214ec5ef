-- The names of one dimension: the place marked with a dollar is filled in from cubes.toml. Of a LowCardinality column it
-- costs 2 ms on 500 000 rows.
SELECT toString($dimension) AS name
FROM {rows:Identifier}
GROUP BY $dimension
ORDER BY name
