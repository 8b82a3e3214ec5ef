-- What each human visitor of the days adds to each cell, never more than the bounds of split.toml.
-- One row: (tenant, day, visitor, measure, key1, key2, contribution).
-- Everything here is a function of one visitor's own rows, of catalogues fixed before and of a secret: so one visitor
-- more or less changes its own rows of this table and nobody else's. That is what the proof rests on: no step may look at
-- other visitors (the judgement of suspects.sql does, so it is not used here: bots are those that their agent names).
-- Routes that are in no table are left out before the bound, so that they take no room in it.
-- A visitor without a page view still counts as one visitor: presence is what "visitors" means.
CREATE OR REPLACE TABLE {bounded:Identifier} ENGINE = Memory AS
WITH
    ({secret_1:UInt64}, {secret_2:UInt64}) AS secret,
    units AS
    (
        SELECT
            tenant, event_day AS day, visitor,
            least(countIf(page_view = 1), {page_views_max:UInt32}) AS page_views,
            groupUniqArrayIf(route, page_view = 1 AND (tenant, event_day, route) IN (SELECT tenant, day, route FROM {routes:Identifier}))
                AS counted_routes,
            groupUniqArray((
                if(country IN {countries:Array(String)}, CAST(country, 'String'), 'ZZ'),
                if(device IN {devices:Array(String)}, CAST(device, 'String'), 'other'))) AS places,
            argMinIf(CAST(referrer_class, 'String'), (time, referrer_class), page_view = 1) AS first_class,
            countIf(duration_ms >= 0) AS timed,
            argMinIf(duration_ms, sipHash64Keyed(secret, (visitor, time, route, duration_ms)), duration_ms >= 0) AS sampled_ms
        FROM events
        WHERE kind = 'event' AND bot_class = 'human' AND late = 0
            AND (tenant, event_day) IN (SELECT tenant, day FROM {pairs:Identifier})
            AND (tenant, event_day, visitor) NOT IN (SELECT tenant, day, visitor FROM {objected:Identifier})
        GROUP BY tenant, event_day, visitor
    )
SELECT
    toLowCardinality(tenant) AS tenant, day, visitor,
    toLowCardinality(cell.1) AS measure, toLowCardinality(cell.2) AS key1, toLowCardinality(cell.3) AS key2,
    cell.4 AS contribution
FROM units
ARRAY JOIN arrayConcat(
    [('visitors', '', '', toInt64(1)), ('page_views', '', '', toInt64(page_views))],
    arrayMap(route -> ('visitors_by_route', route, '', toInt64(1)),
        arraySlice(arraySort(route -> sipHash64Keyed(secret, (visitor, route)), counted_routes), 1, {routes_max:UInt32})),
    arrayMap(place -> ('visitors_by_country_and_device', place.1, place.2, toInt64(1)),
        arraySlice(arraySort(place -> sipHash64Keyed(secret, (visitor, place.1, place.2)), places), 1, {places_max:UInt32})),
    if(first_class IN {referrer_classes:Array(String)}, [('visitors_by_referrer_class', first_class, '', toInt64(1))], []),
    if(timed > 0,
        [('requests_by_latency_class',
            {latency_classes:Array(String)}[1 + arrayCount(bound -> sampled_ms > bound, {latency_ms:Array(Int64)})], '', toInt64(1))],
        [])
) AS cell
