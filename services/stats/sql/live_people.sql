-- Who made the requests of one day, of tenants that were too small to be told so far.
SELECT CAST(tenant, 'String') AS tenant_name, toInt64(uniqExact(visitor)) AS people, toInt64(uniqExact(network)) AS networks,
    toInt64(uniqExactIf(account, account != 0)) AS accounts
FROM events
WHERE kind = 'event' AND tenant IN {tenants:Array(String)} AND event_day = {day:Date} AND late = 0 AND bot_class = 'human'
    AND account NOT IN {objectors:Array(UInt64)}
GROUP BY tenant_name
