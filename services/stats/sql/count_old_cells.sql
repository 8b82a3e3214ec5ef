-- Final cells of days before `before`; weeks and months by their first day.
SELECT CAST(tenant, 'String') AS tenant_name, toInt64(count()) AS rows
FROM cells
WHERE provisional = 0 AND tenant IN {tenants:Array(String)} AND day < {before:Date32}
GROUP BY tenant_name
