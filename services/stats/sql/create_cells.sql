-- Published figures: only values that passed the disclosure rule are ever in it; the server's role reads this table alone.
-- Provisional rows (today's snapshots) share one partition, so that a snapshot replaces the one before atomically.
CREATE TABLE IF NOT EXISTS cells
(
    tenant      LowCardinality(String),
    day         Date,
    provisional UInt8,
    cube        LowCardinality(String),
    dim1        String,
    dim2        String,
    measure     LowCardinality(String),
    value       Int64
)
ENGINE = MergeTree
PARTITION BY if(provisional = 1, 0, toYYYYMM(day))
ORDER BY (tenant, cube, day, dim1, dim2, measure)
