-- Visitors whose day is a program's, with the reason: thresholds and why in suspects.toml.
-- Only who saw enough pages for it is looked at minute by minute. An account exempts: somebody signed in.
CREATE OR REPLACE TABLE {suspects:Identifier} ENGINE = Memory AS
WITH
    hasty AS
    (
        SELECT tenant, event_day AS day, visitor
        FROM events
        WHERE kind = 'event' AND late = 0 AND page_view = 1 AND (tenant, event_day, visitor) IN
            (SELECT tenant, day, visitor FROM {habits:Identifier} WHERE pages >= {pages_a_minute_max:UInt32})
        GROUP BY tenant, day, visitor, toStartOfMinute(time)
        HAVING count() >= {pages_a_minute_max:UInt32}
    ),
    usual AS
    (
        SELECT tenant, day
        FROM {habits:Identifier}
        WHERE pages >= {usual_pages_min:UInt32}
        GROUP BY tenant, day
        HAVING count() >= {usual_visitors_min:UInt32} AND countIf(followed > 0) >= {usual_share_min:Float64} * count()
    )
SELECT CAST(tenant, 'String') AS tenant, day, visitor,
    toLowCardinality({reasons:Array(String)}[multiIf(
        robots, 1,
        probes, 2,
        heads = requests AND requests >= {head_requests_min:UInt32}, 3,
        errors = requests AND requests >= {error_requests_min:UInt32}, 4,
        (tenant, day, visitor) IN (SELECT tenant, day, visitor FROM hasty), 5,
        pages > {pages_a_day_max:UInt32}, 6,
        pages >= {pages_without_link_min:UInt32} AND followed = 0 AND (tenant, day) IN (SELECT tenant, day FROM usual), 7,
        0) AS rule]) AS reason
FROM {habits:Identifier}
WHERE account = 0 AND rule > 0
SETTINGS max_threads = 1 -- as sql/gather_rows.sql
