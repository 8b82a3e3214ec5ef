SELECT CAST(tenant, 'String') AS tenant_name, toInt64(count()) AS rows, min(day) AS oldest
FROM cells
WHERE provisional = 0
GROUP BY tenant_name
