-- The exact sums that noise is added to, by measure.
SELECT measure, sum(contribution) AS value
FROM bounded
GROUP BY measure
ORDER BY measure
