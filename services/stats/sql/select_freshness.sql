-- Which days have figures, and whether they may still change.
SELECT day, min(provisional) AS provisional
FROM cells
WHERE day BETWEEN {first:Date} AND {last:Date} AND ({everywhere:UInt8} = 1 OR tenant IN {tenants:Array(String)})
    AND cube != 'now'
GROUP BY day
ORDER BY day
