-- Which days have figures, of which tenants: from a snapshot, which may still change, and final ones. The cell of a week
-- or a month stands on its first day, and is none of that day.
SELECT day, groupUniqArrayIf(CAST(tenant, 'String'), provisional = 1) AS of_snapshots,
    groupUniqArrayIf(CAST(tenant, 'String'), provisional = 0) AS of_finals
FROM cells
WHERE day BETWEEN {first:Date} AND {last:Date} AND ({everywhere:UInt8} = 1 OR tenant IN {tenants:Array(String)})
    AND cube NOT IN ('now', 'active_accounts_week', 'active_accounts_month')
GROUP BY day
ORDER BY day
