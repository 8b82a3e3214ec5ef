"""What the edge has of a tenant that leaves: its log sources with their keys, claims and counts."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from services.ingest.records import claim_chunks, file_claims, request_claims, source_counts, source_keys, sources
from services.runtime.database import transaction
from services.runtime.departures import TenantStore

__all__ = ["STORES", "tenant_stores"]

# In this order: each row goes before the one that it names.
STORES: Sequence[sa.Table] = (source_counts, request_claims, claim_chunks, file_claims, source_keys, sources)


def tenant_stores(engine: sa.Engine) -> Sequence[TenantStore]:
    return [_store(engine, table) for table in STORES]


def _store(engine: sa.Engine, table: sa.Table) -> TenantStore:
    def count(tenant: str) -> int:
        with transaction(engine) as connection:
            return connection.execute(
                sa.select(sa.func.count()).select_from(table).where(_of(table, tenant))
            ).scalar_one()

    def delete(tenant: str) -> None:
        with transaction(engine) as connection:
            connection.execute(table.delete().where(_of(table, tenant)))

    return TenantStore(table.name, count, delete)


def _of(table: sa.Table, tenant: str) -> sa.ColumnElement[bool]:
    if table is sources:
        return sources.c.tenant == tenant
    mine = sa.select(sources.c.name).where(sources.c.tenant == tenant)
    if table is claim_chunks:
        return claim_chunks.c.origin.in_(sa.select(file_claims.c.origin).where(file_claims.c.source.in_(mine)))
    return table.c.source.in_(mine)
