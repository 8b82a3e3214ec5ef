-- In every ingest-day partition; the ledger rows stay, they are what proves that each batch was written once.
ALTER TABLE events DELETE WHERE kind = 'event' AND (tenant, event_day) IN {pairs:Array(Tuple(String, Date))}
