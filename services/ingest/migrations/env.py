"""Alembic's entry: runs on the engine it is given, in one transaction."""

from __future__ import annotations

from alembic import context

from services.ingest.records import metadata

with context.config.attributes["engine"].begin() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
