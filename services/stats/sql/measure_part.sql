-- What a part really holds, to compare with its ledger row; the same checksum as services/stats/ledger.py.
SELECT
    countIf(kind = 'ledger') AS ledgers,
    countIf(kind = 'event') AS rows,
    bitShiftRight(sumWithOverflowIf(bitXor(visitor, toUInt64(toUnixTimestamp(time)) * 11400714819323198485), kind = 'event'), 48) AS checksum
FROM events
WHERE _part = {part:String}
