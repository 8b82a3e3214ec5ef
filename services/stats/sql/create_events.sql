-- Pseudonymised events of the open days, and in the same parts the ledger of what was written.
-- One batch is one block, one partition, one part: a part is the only thing the engine writes atomically,
-- so a batch and its ledger row live and die together. Queries for figures read kind = 'event'.
CREATE TABLE IF NOT EXISTS events
(
    kind            Enum8('event' = 1, 'ledger' = 2),
    ingest_day      Date COMMENT 'From the plan: a batch retried after midnight stays in its partition',
    tenant          LowCardinality(String),
    event_day       Date COMMENT 'In the installation''s time zone; the day of the pseudonym''s key',
    time            DateTime('UTC'),
    hour            UInt8 COMMENT 'In the installation''s time zone',
    visitor         UInt64,
    network         UInt16,
    account         UInt64 COMMENT '0: not logged in',
    page_view       UInt8 COMMENT '1: a page for people: GET, 2xx or 304, no asset, no application event',
    route           String,
    referrer_class  LowCardinality(String),
    referrer_domain String,
    country         LowCardinality(String),
    browser         LowCardinality(String),
    os              LowCardinality(String),
    device          LowCardinality(String),
    bot_class       LowCardinality(String),
    bot_reason      LowCardinality(String),
    method          LowCardinality(String),
    status          UInt16,
    event           LowCardinality(String),
    response_bytes  UInt64,
    duration_ms     Int64 COMMENT '-1: unknown',
    late            UInt8,

    topic_id        String,
    log_partition   UInt32,
    first_offset    Int64,
    last_offset     Int64,
    spans           Array(Tuple(source String, origin String, first Int64, last Int64)),
    rows            UInt64 COMMENT 'Events stored beside this ledger row',
    rejected        UInt64 COMMENT 'Records that could not be decoded',
    duplicates      UInt64 COMMENT 'Published twice by ingest around a crash',
    suppressed      UInt64 COMMENT 'Erased or restricted accounts',
    late_rows       UInt64 COMMENT 'Of days whose key is gone',
    checksum        UInt64,
    lost            UInt8,
    attempt         UInt8,
    lookups         String
)
ENGINE = MergeTree
PARTITION BY ingest_day
ORDER BY (kind, tenant, event_day, visitor, time)
SETTINGS
    non_replicated_deduplication_window = 10000,  -- a second writer of the same plan, nothing else, is absorbed
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    old_parts_lifetime = 3600,                    -- seconds to notice a broken merge while its sources still exist
    min_bytes_for_wide_part = 1073741824,         -- one file a part until it is large: an insert costs a third less CPU
    ratio_of_defaults_for_sparse_serialization = 1 -- never sparse: then an empty file in a part is a failed write
