-- Which positions of which origin are stored: what ingest published twice is recognised by them.
SELECT span.source AS source, span.origin AS origin, span.first AS first, span.last AS last
FROM events ARRAY JOIN spans AS span
WHERE kind = 'ledger' AND tenant = '' AND topic_id = {topic_id:String} AND log_partition = {log_partition:UInt32}
