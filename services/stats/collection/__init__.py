"""How logs come in, as ingest reports it of its sources."""
