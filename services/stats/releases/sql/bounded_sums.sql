-- The exact sums that noise is added to, by cell.
SELECT CAST(tenant, 'String') AS tenant, day, CAST(measure, 'String') AS measure, CAST(key1, 'String') AS key1,
    CAST(key2, 'String') AS key2, sum(contribution) AS value
FROM {bounded:Identifier}
GROUP BY tenant, day, measure, key1, key2
