-- Event rows of the closing days, without the visitors whose account objected.
SELECT CAST(tenant, 'String') AS tenant_name, event_day AS day, toInt64(count()) AS rows
FROM events
WHERE kind = 'event' AND late = 0 AND (tenant, event_day) IN {pairs:Array(Tuple(String, Date))}
    AND (tenant, event_day, visitor) NOT IN (SELECT tenant, day, visitor FROM {objected:Identifier})
GROUP BY tenant_name, day
