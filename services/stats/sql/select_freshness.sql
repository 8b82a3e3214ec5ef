-- Which days have figures, of which tenants: from a snapshot, which may still change, and final ones.
SELECT day, groupUniqArrayIf(CAST(tenant, 'String'), provisional = 1) AS of_snapshots,
    groupUniqArrayIf(CAST(tenant, 'String'), provisional = 0) AS of_finals
FROM cells
WHERE day BETWEEN {first:Date} AND {last:Date} AND ({everywhere:UInt8} = 1 OR tenant IN {tenants:Array(String)})
    AND cube != 'now'
GROUP BY day
ORDER BY day
