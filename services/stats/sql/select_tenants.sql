-- Tenants that have published figures.
SELECT DISTINCT CAST(tenant, 'String') AS tenant FROM cells ORDER BY tenant
