"""Records with stored noisy days, as closing leaves them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from services.runtime.database import open_records, upgrade
from services.stats.records import MIGRATIONS
from services.stats.releases.ledger import charge, store
from services.stats.releases.split import declared_split

FIRST = date(2026, 11, 1)
EPSILON = 0.4829


def new_records(folder: Path) -> sa.Engine:
    return upgraded(f"sqlite:///{folder}/statistics.db")


def upgraded(url: str) -> sa.Engine:
    engine = open_records(url)
    upgrade(engine, MIGRATIONS)
    return engine


def closed_at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(days=1)


def store_days(engine: sa.Engine, tenant: str, days: Iterable[date], visitors: int = 500) -> None:
    for day in days:
        assert charge(engine, tenant, day, declared_split(), closed_at(day))
        noisy = {"visitors": visitors + day.day, "page_views": visitors * 4 - day.day}
        store(engine, tenant, day, noisy, split=declared_split(), epsilon=EPSILON, now=closed_at(day))
