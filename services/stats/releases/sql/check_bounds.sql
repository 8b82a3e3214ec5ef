-- The assertion: what one visitor really adds, by measure, computed on the very rows that the sums are read from.
SELECT measure, max(cells) AS cells_seen_max, max(largest) AS contribution_seen_max, min(smallest) AS contribution_seen_min
FROM
(
    SELECT measure, count() AS cells, max(added) AS largest, min(added) AS smallest
    FROM
    (
        SELECT tenant, day, visitor, measure, key1, key2, sum(contribution) AS added
        FROM {bounded:Identifier}
        GROUP BY tenant, day, visitor, measure, key1, key2
    )
    GROUP BY tenant, day, visitor, measure
)
GROUP BY measure
ORDER BY measure
