-- What the part of one exact range of offsets says it holds, and what it holds.
-- The same checksum as services/stats/counting/ledger.py.
WITH
    kind = 'ledger' AND topic_id = {topic_id:String} AND log_partition = {log_partition:UInt32}
        AND first_offset = {first_offset:Int64} AND last_offset = {last_offset:Int64} AS mine,
    bitXor(visitor, toUInt64(toUnixTimestamp(time)) * 11400714819323198485) AS digest
SELECT
    any(_part) AS part,
    countIf(mine) AS found,
    anyIf(rows, mine) AS rows_written,
    anyIf(checksum, mine) AS checksum_written,
    countIf(kind = 'ledger') AS ledgers,
    countIf(kind = 'event') AS rows_held,
    bitShiftRight(sumWithOverflowIf(digest, kind = 'event'), 48) AS checksum_held
FROM events
WHERE _part IN (SELECT _part FROM events WHERE mine AND tenant = '')
SETTINGS max_threads = 1 -- a part of one batch is small: threads cost more than they save
