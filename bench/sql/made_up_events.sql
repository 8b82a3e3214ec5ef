-- One day of events that nobody made: popular pages by a power law, a tenth bots, one country and device a visitor.
INSERT INTO events (kind, ingest_day, tenant, event_day, time, hour, visitor, network, account, page_view, route,
    referrer_class, referrer_domain, country, browser, os, device, bot_class, bot_reason, method, status, event,
    response_bytes, duration_ms, late)
SELECT 'event', {day:Date}, concat('tenant-', leftPad(toString(tenant_number), 4, '0')), {day:Date},
    toDateTime({midnight:DateTime('UTC')}, 'UTC') + second, intDiv(second, 3600),
    person, person % 65536, if(person % 5 = 0, person, 0), toUInt8(status IN (200, 304) AND dice % 2 = 0),
    concat('/', ['agenda', 'news', 'members', 'results', 'shop'][1 + page % 5], '/', toString(page)),
    ['direct', 'direct', 'search', 'internal', 'social'][1 + person % 5],
    ['', '', 'google.com', '', 't.co'][1 + person % 5],
    ['FR', 'FR', 'FR', 'FR', 'FR', 'FR', 'BE', 'CH', 'DE', 'LU'][1 + intDiv(person, 7) % 10],
    ['Chrome', 'Chrome', 'Safari', 'Firefox'][1 + intDiv(person, 11) % 4],
    ['Windows', 'Android', 'iOS', 'Linux'][1 + intDiv(person, 11) % 4],
    ['desktop', 'mobile', 'mobile', 'tablet'][1 + intDiv(person, 11) % 4],
    if(person % 10 = 0, 'declared', 'human'), if(person % 10 = 0, 'user agent', ''),
    if(dice % 20 = 0, 'POST', 'GET'), status, if(dice % 50 = 1, 'booking', ''), dice % 100000, dice % 900, 0
FROM
(
    SELECT tenant_number,
        cityHash64({day:Date}, tenant_number, cityHash64(number) % greatest(toUInt64(1), toUInt64(rows_each / 12))) AS person,
        cityHash64(number, 'dice') AS dice,
        toUInt32((person % 80000 + dice % 1800) % 86400) AS second,
        toUInt32(least(300, pow((cityHash64(number, 'page') % 10000 + 1) / 10000, -0.9))) AS page,
        [200, 200, 200, 200, 200, 200, 304, 301, 404, 500][1 + intDiv(dice, 1000) % 10] AS status
    FROM
    (
        SELECT number,
            cityHash64(number, 'tenant') % 1000000 / 1000000 AS share,
            if(share < {largest:Float64} OR {tenants:UInt32} = 1, 0,
                if({largest:Float64} > 0, 1 + cityHash64(number, 'other') % ({tenants:UInt32} - 1), cityHash64(number, 'other') % {tenants:UInt32})
            ) AS tenant_number,
            if(tenant_number = 0 AND {largest:Float64} > 0, {events:UInt64} * {largest:Float64},
                {events:UInt64} * (1 - {largest:Float64}) / {tenants:UInt32}) AS rows_each
        FROM numbers({events:UInt64})
    )
)
