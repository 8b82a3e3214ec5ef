-- Whose requests came after their day had closed, by the day of their arrival (services/stats/closing/late.py).
SELECT CAST(tenant, 'String') AS tenant_name, event_day AS day, '' AS dim1, '' AS dim2, visitor,
    any(network) AS network, max(account) AS account, toInt64(count()) AS requests
FROM events
WHERE kind = 'event' AND late = 1 AND bot_class = 'human' AND (tenant, event_day) IN {pairs:Array(Tuple(String, Date))}
    AND (tenant, event_day, visitor) NOT IN (SELECT tenant, day, visitor FROM {objected:Identifier})
GROUP BY tenant_name, day, visitor
