"""What ingest might have reported of four sources within a day, made from a seed."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from services.runtime import avro
from services.stats.collection.reports import BLOCK, LAG, Collection, block_of

__all__ = ["fill_collection", "reported"]

Row = dict[str, Any]


def reported(rows: list[Row], heard: datetime) -> pl.DataFrame:
    """Rows of `SourceReport` as the worker reads them; `block` with its zone."""
    naive = [{"edge": "edge-1", **row, "block": row["block"].astimezone(UTC).replace(tzinfo=None)} for row in rows]
    frame = pl.DataFrame(naive, schema=dict(avro.columns("source_report")))
    return frame.with_columns(pl.lit(int(heard.timestamp()), dtype=pl.Int64).alias("heard"))


def fill_collection(collection: Collection, now: datetime) -> None:
    """`riverside-web` is well, `riverside-api` is refused and rejected, `riverside-old` is silent, `chess-web` is small."""
    rows = [*_web(now), *_api(now), *_small(now), *_declared(now)]
    collection.take(reported(rows, now))
    collection.measure(LAG, 0, now)


def _declared(now: datetime) -> Iterator[Row]:
    block = block_of(now)
    names = {"riverside-web": "riverside", "riverside-api": "riverside", "riverside-old": "riverside"}
    for source, tenant in {**names, "chess-web": "chess-club"}.items():
        yield _row(source, tenant, block, "declared", 1)
    yield {"source": None, "tenant": None, "block": block, "outcome": "spool_bytes", "count": 0}


def _web(now: datetime) -> Iterator[Row]:
    chance = random.Random(7)
    for ago in range(300):
        block = block_of(now) - ago * BLOCK
        daylight = 1.05 + math.sin((block.hour * 60 + block.minute) / 1440 * 2 * math.pi - 2)
        yield _row("riverside-web", "riverside", block, "accepted", int(900 * daylight + chance.randrange(80)))
    yield _row("riverside-web", "riverside", block_of(now) - timedelta(hours=3), "duplicates", 1204)
    yield _row("riverside-web", "riverside", block_of(now) - timedelta(hours=3), "rejected:bad_request", 12)


def _api(now: datetime) -> Iterator[Row]:
    for ago in range(24):
        block = block_of(now) - ago * BLOCK
        yield _row("riverside-api", "riverside", block, "rejected:unknown_shape", 40)
        yield _row("riverside-api", "riverside", block, "accepted", 3)
    for ago in range(52):
        yield _row("riverside-api", "riverside", block_of(now) - ago * BLOCK, "refused:revoked_key", 6)
    yield _row("riverside-api", "riverside", block_of(now), "refused:busy", 2)


def _small(now: datetime) -> Iterator[Row]:
    yield _row("chess-web", "chess-club", block_of(now) - 2 * BLOCK, "accepted", 7)
    yield _row("chess-web", "chess-club", block_of(now) - 90 * BLOCK, "accepted", 31)
    yield _row("chess-web", "chess-club", block_of(now) - 2 * BLOCK, "rejected:bad_status", 1)


def _row(source: str, tenant: str, block: datetime, outcome: str, count: int) -> Row:
    return {"source": source, "tenant": tenant, "block": block, "outcome": outcome, "count": count}
