"""Alembic migrations of the identity plane's records; an applied one is never edited."""
