SELECT topic_id, log_partition, first_offset, last_offset
FROM events
WHERE kind = 'ledger'
ORDER BY topic_id, log_partition, first_offset, last_offset
