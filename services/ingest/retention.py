"""The terms of what the edge keeps: the topics it writes, claims on requests, and counts of its sources."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.ingest.records import request_claims, source_counts, sources
from services.ingest.request_claims import KEY_TERM
from services.runtime.log.interface import EventLog
from services.runtime.retention.keeping import Keeper
from services.runtime.retention.rows import Dated, RowsKeeper
from services.runtime.retention.topics import TopicKeeper

__all__ = ["keepers"]


def keepers(engine: sa.Engine, log: EventLog) -> Sequence[Keeper]:
    """One for each type of data of this plane."""
    return (
        TopicKeeper("raw", "access-log", log),
        TopicKeeper("raw-lines", "access-log-raw", log),
        TopicKeeper("dead-letters", "dead-letter", log),
        RowsKeeper("claims", engine, _of_sources(request_claims, "expires_at"), _EXPIRY, _delete_claims),
        RowsKeeper("source-counts", engine, _of_sources(source_counts, "block"), _iso(), _delete_counts),
    )


def _iso(after: timedelta = timedelta(0)) -> Dated:
    """ISO 8601 texts; `after`: the column says when a row's term is over, so long after it was written."""
    return Dated(lambda text: datetime.fromisoformat(text) - after, lambda at: (at + after).isoformat())


_EXPIRY = _iso(KEY_TERM)


def _of_sources(table: sa.Table, at: str) -> sa.Select[Any]:
    return sa.select(sources.c.tenant, table.c[at].label("at")).join_from(table, sources)


def _delete_claims(connection: sa.Connection, tenants: Sequence[str], before: str) -> None:
    _delete(connection, request_claims, request_claims.c.expires_at < before, tenants)


def _delete_counts(connection: sa.Connection, tenants: Sequence[str], before: str) -> None:
    _delete(connection, source_counts, source_counts.c.block < before, tenants)


def _delete(connection: sa.Connection, table: sa.Table, over: sa.ColumnElement[bool], tenants: Sequence[str]) -> None:
    mine = table.c.source.in_(sa.select(sources.c.name).where(sources.c.tenant.in_(tenants)))
    connection.execute(table.delete().where(mine, over))
