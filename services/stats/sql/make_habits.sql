-- What each visitor did all day, of those whose day may be a program's or shows what is usual: make_suspects.sql judges.
CREATE OR REPLACE TABLE {habits:Identifier} ENGINE = Memory AS
SELECT tenant, event_day AS day, visitor, max(account) AS account, count() AS requests, sum(page_view) AS pages,
    sum(page_view AND referrer_class = 'internal') AS followed,
    sum(method = 'HEAD') AS heads,
    sum(status BETWEEN 400 AND 499 AND status NOT IN (401, 429)) AS errors,
    max(route IN {robots_routes:Array(String)}) AS robots,
    max(status BETWEEN 400 AND 499 AND route IN {probe_routes:Array(String)}) AS probes
FROM events
WHERE kind = 'event' AND late = 0 AND bot_class = 'human'
    AND (tenant, event_day) IN (SELECT tenant, day FROM {pairs:Identifier})
    AND (tenant, event_day, visitor) NOT IN (SELECT tenant, day, visitor FROM {objected:Identifier})
GROUP BY tenant, day, visitor
HAVING pages >= {usual_pages_min:UInt32} OR robots OR probes OR heads = requests OR errors = requests
SETTINGS max_threads = 1 -- as sql/gather_rows.sql
