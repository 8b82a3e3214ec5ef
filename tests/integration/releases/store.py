"""A real ClickHouse in process with events of a day, for the tests of releases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from services.runtime.clickhouse import Analytics, open_analytics
from services.stats.store import create_tables

DAY = date(2026, 11, 3)
HUMAN: Mapping[str, Any] = {
    "kind": "event", "ingest_day": DAY, "tenant": "harbour", "event_day": DAY, "time": datetime(2026, 11, 3, 9),
    "page_view": 1, "bot_class": "human", "late": 0,
}  # fmt: skip


def new_store(folder: Path) -> Analytics:
    analytics = open_analytics(f"chdb://{folder}/analytics")
    create_tables(analytics)
    return analytics


def events(visitors: Mapping[int, int], **columns: Any) -> pl.DataFrame:
    """One row a page view: visitor -> how many; further columns as given."""
    rows = [{**HUMAN, "visitor": visitor, **columns} for visitor, count in visitors.items() for _ in range(count)]
    types = {"visitor": pl.UInt64, "page_view": pl.UInt8, "late": pl.UInt8}
    return pl.DataFrame(rows, schema_overrides=types)


def fill(analytics: Analytics, frames: Iterable[pl.DataFrame]) -> None:
    for frame in frames:
        analytics.insert("events", frame)
