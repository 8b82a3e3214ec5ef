-- Who was active in an open week or month, so that nobody is counted twice in it: a tenant, a period, a keyed account, and
-- nothing else. Not a date, not a count, not a dimension. Deleted with its key when the period closes. The account that the
-- pages read with has no right to this table. Old parts go at once: a damaged one costs a figure, not the events.
CREATE TABLE IF NOT EXISTS active_accounts
(
    tenant  LowCardinality(String),
    period  LowCardinality(String) COMMENT 'week or month and its first day: week/2026-11-23',
    account UInt64 COMMENT 'Under the key of the tenant and the period'
)
ENGINE = ReplacingMergeTree
PARTITION BY startsWith(period, 'week')
ORDER BY (tenant, account)
SETTINGS old_parts_lifetime = 0
