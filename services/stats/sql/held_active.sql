SELECT CAST(tenant, 'String') AS tenant_name, CAST(period, 'String') AS period_name, toInt64(count()) AS rows
FROM active_accounts
GROUP BY tenant_name, period_name
