-- Visitors whose day is a program's, with the reason: thresholds and why in suspects.toml.
-- The inner rows are a visitor's minutes: the busiest one tells the pace. An account exempts: somebody signed in.
CREATE OR REPLACE TABLE {suspects:Identifier} ENGINE = Memory AS
WITH
    minutes AS
    (
        SELECT tenant, event_day AS day, visitor, count() AS requests, sum(page_view) AS views,
            countIf(page_view = 1 AND referrer_class = 'internal') AS followed,
            countIf(method = 'HEAD') AS heads,
            countIf(status BETWEEN 400 AND 499 AND status NOT IN (401, 429)) AS errors,
            countIf(route IN {robots_routes:Array(String)}) AS robots,
            countIf(route IN {probe_routes:Array(String)} AND status BETWEEN 400 AND 499) AS probes,
            max(account) AS account
        FROM events
        WHERE kind = 'event' AND late = 0 AND bot_class = 'human'
            AND (tenant, event_day) IN (SELECT tenant, day FROM {pairs:Identifier})
            AND (tenant, event_day, visitor) NOT IN (SELECT tenant, day, visitor FROM {objected:Identifier})
        GROUP BY tenant, day, visitor, toStartOfMinute(time)
    ),
    visitors AS
    (
        SELECT tenant, day, visitor, sum(requests) AS requests, max(views) AS pages_a_minute, sum(views) AS pages,
            sum(followed) AS followed, sum(heads) AS heads, sum(errors) AS errors, sum(robots) AS robots,
            sum(probes) AS probes, max(account) AS account
        FROM minutes
        GROUP BY tenant, day, visitor
    ),
    usual AS
    (
        SELECT tenant, day
        FROM visitors
        WHERE pages >= {usual_pages_min:UInt32}
        GROUP BY tenant, day
        HAVING count() >= {usual_visitors_min:UInt32} AND countIf(followed > 0) >= {usual_share_min:Float64} * count()
    )
SELECT CAST(tenant, 'String') AS tenant, day, visitor,
    toLowCardinality({reasons:Array(String)}[multiIf(
        robots > 0, 1,
        probes > 0, 2,
        heads = requests AND requests >= {head_requests_min:UInt32}, 3,
        errors = requests AND requests >= {error_requests_min:UInt32}, 4,
        pages_a_minute >= {pages_a_minute_max:UInt32}, 5,
        pages > {pages_a_day_max:UInt32}, 6,
        pages >= {pages_without_link_min:UInt32} AND followed = 0 AND (tenant, day) IN (SELECT tenant, day FROM usual), 7,
        0) AS rule]) AS reason
FROM visitors
WHERE account = 0 AND rule > 0
SETTINGS max_threads = 1 -- as sql/gather_rows.sql
