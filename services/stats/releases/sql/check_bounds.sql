-- The assertion: what one visitor really adds, by measure, computed on the same bounded rows as the sums.
SELECT measure, max(cells) AS cells_seen_max, max(largest) AS contribution_seen_max, min(smallest) AS contribution_seen_min
FROM
(
    SELECT visitor, measure, count() AS cells, max(contribution) AS largest, min(contribution) AS smallest
    FROM bounded
    GROUP BY visitor, measure
)
GROUP BY measure
ORDER BY measure
