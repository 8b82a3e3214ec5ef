SELECT count() AS rows
FROM events
WHERE kind = 'event' AND tenant = {tenant:String} AND event_day = {day:Date} AND account = {account:UInt64}
    AND time <= {cutoff:DateTime('UTC')}
