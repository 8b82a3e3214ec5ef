-- Who used the site in one block of a few minutes; dim1 names the block.
SELECT CAST(tenant, 'String') AS tenant_name, event_day AS day, {block:String} AS dim1, '' AS dim2, visitor,
    any(network) AS network, max(account) AS account
FROM events
WHERE kind = 'event' AND late = 0 AND bot_class = 'human' AND (page_view = 1 OR event != '')
    AND time >= {first:DateTime('UTC')} AND time < {end:DateTime('UTC')}
    AND (tenant, event_day, visitor) NOT IN (SELECT tenant, day, visitor FROM {objected:Identifier})
    AND (tenant, event_day, visitor) NOT IN (SELECT tenant, day, visitor FROM {suspects:Identifier})
GROUP BY tenant_name, day, visitor
