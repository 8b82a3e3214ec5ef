"""Runs migrations on the engine it is given, in one transaction, one process at a time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

MIGRATION_LOCK = 0x766F696C65  # "voile": any number, the same in every process

with context.config.attributes["engine"].connect() as connection:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:n)"), {"n": MIGRATION_LOCK})
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
