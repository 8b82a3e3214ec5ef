SELECT CAST(tenant, 'String') AS tenant_name, event_day AS day, toInt64(count()) AS rows
FROM events
WHERE kind = 'event' AND (tenant, event_day, visitor) IN (SELECT tenant, day, visitor FROM {objected:Identifier})
GROUP BY tenant_name, day
