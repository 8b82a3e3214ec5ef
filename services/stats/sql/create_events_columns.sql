-- Columns that came after the first version: an installation that has the table gets them at its next start.
ALTER TABLE events
    ADD COLUMN IF NOT EXISTS utm_source LowCardinality(String) COMMENT 'Of tenants that opted in, else empty' AFTER event,
    ADD COLUMN IF NOT EXISTS utm_medium LowCardinality(String) AFTER utm_source,
    ADD COLUMN IF NOT EXISTS utm_campaign LowCardinality(String) AFTER utm_medium
