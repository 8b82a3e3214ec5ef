-- page: a person was served it, not only asked for it.
SELECT CAST(tenant, 'String') AS tenant_name, event_day AS day, route,
    max(bot_class = 'human' AND page_view = 1) = 1 AS page
FROM events
WHERE kind = 'event' AND late = 0 AND (tenant, event_day) IN (SELECT tenant, day FROM {pairs:Identifier})
    AND (tenant, event_day, visitor) NOT IN (SELECT tenant, day, visitor FROM {objected:Identifier})
    AND (tenant, event_day, visitor) NOT IN (SELECT tenant, day, visitor FROM {suspects:Identifier})
GROUP BY tenant_name, day, route
