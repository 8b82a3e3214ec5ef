"""Alembic's entry: runs the revisions on the engine it is given."""

from __future__ import annotations

from alembic import context

from services.stats.records import metadata

engine = context.config.attributes["engine"]
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
