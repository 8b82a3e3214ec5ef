"""Ingest's schema, one small numbered file a change; applied ones are never edited."""
