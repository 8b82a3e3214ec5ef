-- Every visitor that carried an account with an objection, whatever else it did that day without logging in.
CREATE OR REPLACE TABLE {table:Identifier} ENGINE = Memory AS
SELECT DISTINCT CAST(tenant, 'String') AS tenant, event_day AS day, visitor
FROM events
WHERE kind = 'event' AND account != 0
    AND (tenant, event_day, account) IN (SELECT tenant, day, account FROM {objectors:Identifier})
