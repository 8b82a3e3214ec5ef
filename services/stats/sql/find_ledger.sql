-- The ledger rows of one exact range, with the part each lies in.
SELECT _part AS part, rows, checksum, attempt
FROM events
WHERE kind = 'ledger' AND tenant = '' AND topic_id = {topic_id:String} AND log_partition = {log_partition:UInt32}
    AND first_offset = {first_offset:Int64} AND last_offset = {last_offset:Int64}
