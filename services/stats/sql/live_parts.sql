-- Requests of people of one day, in parts of the table. Every part holds a ledger row, so each one that is there answers.
SELECT _part AS part, if(kind = 'event', CAST(tenant, 'String'), '') AS tenant_name,
    toInt64(countIf(kind = 'event' AND late = 0 AND bot_class = 'human' AND account NOT IN {objectors:Array(UInt64)})) AS requests
FROM events
WHERE _part IN {parts:Array(String)} AND (kind = 'ledger' OR event_day = {day:Date})
GROUP BY part, tenant_name
