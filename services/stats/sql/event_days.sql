SELECT CAST(tenant, 'String') AS tenant_name, event_day AS day, toInt64(count()) AS rows
FROM events
WHERE kind = 'event'
GROUP BY tenant_name, day
