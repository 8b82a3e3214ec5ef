-- What each human visitor of one (tenant, day) adds to each drawn cell, never more than the bounds of split.toml.
-- Objectors' rows are gone from the table before this is read. One row: (visitor, measure, contribution).
-- A visitor without a page view still counts as one visitor: presence is what "visitors" means.
SELECT visitor, measure, contribution
FROM
(
    SELECT
        visitor,
        [('visitors', toInt64(1)), ('page_views', toInt64(least(countIf(page_view = 1), {page_views_max:UInt32})))] AS cells
    FROM events
    WHERE kind = 'event' AND tenant = {tenant:String} AND event_day = {day:Date} AND bot_class = 'human' AND late = 0
    GROUP BY visitor
)
ARRAY JOIN cells.1 AS measure, cells.2 AS contribution
