"""A real ClickHouse in process with events of a day, for the tests of releases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, open_analytics
from services.runtime.clock import Clock, FixedClock
from services.stats.days.states import TenantDay
from services.stats.releases.bounding import Secret, bounded_sums
from services.stats.releases.catalogues import catalogues_of
from services.stats.releases.drawing import Drawing
from services.stats.releases.ledger import Scopes
from services.stats.releases.split import declared_split
from services.stats.store import create_tables
from tests.unit.stats.releases.records import OWN, closed_at

DAY = date(2026, 11, 3)
UTC = ZoneInfo("UTC")
SECRET = Secret(1, 2)
HUMAN: Mapping[str, Any] = {
    "kind": "event", "ingest_day": DAY, "tenant": "harbour", "event_day": DAY, "time": datetime(2026, 11, 3, 9),
    "page_view": 1, "bot_class": "human", "late": 0, "route": "/", "referrer_class": "direct", "country": "FR",
    "device": "desktop", "duration_ms": 20,
}  # fmt: skip


def new_store(folder: Path) -> Analytics:
    analytics = open_analytics(f"chdb://{folder}/analytics")
    create_tables(analytics)
    return analytics


def events(visitors: Mapping[int, int], **columns: Any) -> pl.DataFrame:
    """One row a page view: visitor -> how many; further columns as given."""
    return accesses([{"visitor": visitor} for visitor, count in visitors.items() for _ in range(count)], **columns)


def accesses(given: Sequence[Mapping[str, Any]], **columns: Any) -> pl.DataFrame:
    """One row an access; what is not said is that of a person on the first page."""
    types = {"visitor": pl.UInt64, "page_view": pl.UInt8, "late": pl.UInt8, "duration_ms": pl.Int64}
    return pl.DataFrame([{**HUMAN, **columns, **row} for row in given], schema_overrides=types)


def fill(analytics: Analytics, frames: Iterable[pl.DataFrame]) -> None:
    for frame in frames:
        analytics.insert("events", frame)


def sums_of(
    analytics: Analytics, tenant: str, routes: Sequence[str] = (), secret: Secret = SECRET, **more: Any
) -> dict[str, dict[tuple[str, ...], int]]:
    """Measure -> key -> exact bounded sum of the tenant's day; cells of zero are left out."""
    pair = TenantDay(tenant, DAY)
    catalogues = catalogues_of(declared_split(), routes)
    vectors = bounded_sums(analytics, declared_split(), {pair: catalogues}, secret, **more)[pair]
    return {
        name: {key: n for key, n in zip(catalogues[name].keys, vector, strict=True) if n}
        for name, vector in vectors.items()
    }


def drawing(analytics: Analytics, records: sa.Engine, clock: Clock | None = None, **more: Any) -> Drawing:
    """As the service has it, for tenants that all opted in."""
    made = Drawing(analytics, records, lambda _tenant: OWN, clock or FixedClock(closed_at(DAY)), UTC)
    return replace(made, **more)


def opted_in(*tenants: str) -> Any:
    return lambda tenant: Scopes(own=tenant in tenants)
