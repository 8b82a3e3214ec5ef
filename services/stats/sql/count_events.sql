-- Without the rows that came late from other days, unless `late` is 1.
SELECT CAST(tenant, 'String') AS tenant_name, event_day AS day, toInt64(count()) AS rows
FROM events
WHERE kind = 'event' AND late <= {late:UInt8} AND (tenant, event_day) IN {pairs:Array(Tuple(String, Date))}
GROUP BY tenant_name, day
