-- What of one log partition is stored.
SELECT first_offset, last_offset
FROM events
WHERE kind = 'ledger' AND tenant = '' AND topic_id = {topic_id:String} AND log_partition = {log_partition:UInt32}
ORDER BY first_offset, last_offset
