"""How logs come in, as ingest reports it: counts by source and five minutes, and nothing of any line.

The worker writes here what it reads from `source-report.v1`, the pages read it: the server itself reads no topic.
A report says how much there is so far, so the highest count of a block is the latest, in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa

from services.runtime.database import transaction
from services.stats.collection.records import counts, gauges, sources

__all__ = ["BLOCK", "LAG", "SPOOL", "TERM", "Collection", "Count", "Gauge", "Source", "block_of"]

BLOCK = timedelta(minutes=5)  # as ingest reports
TERM = timedelta(days=14)  # a day can be compared with the one a week before
LAG, SPOOL = "lag", "spool:"

_COUNT = sa.text(
    "INSERT INTO collection_counts (source, block, outcome, count) VALUES (:source, :block, :outcome, :count) "
    "ON CONFLICT (source, block, outcome) DO UPDATE SET count = excluded.count "
    "WHERE excluded.count > collection_counts.count"
)
_SOURCE = sa.text(
    "INSERT INTO collection_sources (source, tenant, heard) VALUES (:source, :tenant, :heard) "
    "ON CONFLICT (source) DO UPDATE SET tenant = excluded.tenant, heard = excluded.heard "
    "WHERE excluded.heard > collection_sources.heard"
)
_GAUGE = sa.text(
    "INSERT INTO collection_gauges (name, value, at) VALUES (:name, :value, :at) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at "
    "WHERE excluded.at >= collection_gauges.at"
)


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    tenant: str
    last_block: datetime | None
    """When the last block began in which a line came; None: none within the term."""


@dataclass(frozen=True, slots=True)
class Count:
    source: str
    block: datetime
    outcome: str
    count: int


@dataclass(frozen=True, slots=True)
class Gauge:
    """What was measured last, and when."""

    value: int
    at: datetime


class Collection:
    """Every method is one transaction; raises `Transient`. `tenants` None: every tenant."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def take(self, reported: pl.DataFrame) -> None:
        """Rows of `SourceReport`, with `heard`: when they were reported (s, UTC)."""
        own = pl.col("source").is_null()
        standing = reported.filter(own & (pl.col("outcome") == "spool_bytes"))
        declared = reported.filter(~own & (pl.col("outcome") == "declared"))
        counted = reported.filter(~own & (pl.col("outcome") != "declared"))
        with transaction(self._engine) as connection:
            _write(connection, _GAUGE, _spools(standing))
            _write(connection, _SOURCE, declared.group_by("source", "tenant").agg(pl.col("heard").max()))
            _write(connection, _COUNT, _highest(counted))

    def measure(self, name: str, value: int, now: datetime) -> None:
        with transaction(self._engine) as connection:
            connection.execute(_GAUGE, {"name": name, "value": value, "at": _seconds(now)})

    def forget(self, now: datetime) -> None:
        """Delete what is past its term."""
        before = _seconds(now - TERM)
        with transaction(self._engine) as connection:
            connection.execute(counts.delete().where(counts.c.block < before))
            connection.execute(sources.delete().where(sources.c.heard < before))
            connection.execute(gauges.delete().where(gauges.c.at < before))

    def sources(self, tenants: frozenset[str] | None) -> Sequence[Source]:
        """By name."""
        came = counts.c.outcome.not_like("refused:%")
        last = sa.select(counts.c.source, sa.func.max(counts.c.block).label("block")).where(came)
        latest = last.group_by(counts.c.source).subquery()
        query = sa.select(sources.c.source, sources.c.tenant, latest.c.block).select_from(
            sources.outerjoin(latest, sources.c.source == latest.c.source)
        )
        with transaction(self._engine) as connection:
            rows = connection.execute(_within(query, tenants).order_by(sources.c.source)).all()
        return [Source(name, tenant, _time(block) if block is not None else None) for name, tenant, block in rows]

    def counts(self, tenants: frozenset[str] | None, since: datetime) -> Sequence[Count]:
        """Of blocks that began at `since` or later, oldest first."""
        columns = (counts.c.source, counts.c.block, counts.c.outcome, counts.c.count)
        query = sa.select(*columns).join_from(counts, sources, sources.c.source == counts.c.source)
        recent = query.where(counts.c.block >= _seconds(since)).order_by(counts.c.block)
        with transaction(self._engine) as connection:
            return [Count(s, _time(b), o, n) for s, b, o, n in connection.execute(_within(recent, tenants))]

    def gauges(self) -> Mapping[str, Gauge]:
        with transaction(self._engine) as connection:
            return {name: Gauge(value, _time(at)) for name, value, at in connection.execute(sa.select(gauges))}


def block_of(at: datetime) -> datetime:
    """When the block began that `at` (UTC) lies in."""
    return _time(_seconds(at) // _BLOCK_S * _BLOCK_S)


_BLOCK_S = int(BLOCK.total_seconds())


def _spools(standing: pl.DataFrame) -> pl.DataFrame:
    """The last word of each ingest process."""
    named = standing.sort("heard").group_by("edge").last()
    return named.select(pl.format(SPOOL + "{}", "edge").alias("name"), pl.col("count").alias("value"), at="heard")


def _highest(counted: pl.DataFrame) -> pl.DataFrame:
    """One row for each block and outcome; sorted, so that two workers do not wait for each other crosswise."""
    keys = ["source", "block", "outcome"]
    highest = counted.group_by(keys).agg(pl.col("count").max()).sort(keys)
    return highest.with_columns(pl.col("block").dt.epoch("s"))


def _write(connection: sa.Connection, statement: sa.TextClause, frame: pl.DataFrame) -> None:
    if frame.height:
        connection.execute(statement, frame.to_dicts())


def _within(query: sa.Select[Any], tenants: frozenset[str] | None) -> sa.Select[Any]:
    return query if tenants is None else query.where(sources.c.tenant.in_(sorted(tenants)))


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
