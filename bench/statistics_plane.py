"""A statistics plane of a bench: real stores and keys, and days of events that ClickHouse makes up by itself.

Rows are put where the worker would put them: millions of them through the worker are what P1 measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path

import sqlalchemy as sa

from services.runtime.clickhouse import Analytics, open_analytics
from services.runtime.clock import SystemClock
from services.runtime.database import open_records, upgrade
from services.runtime.keys import FileKeyService
from services.runtime.log import open_log
from services.runtime.log.interface import EventLog
from services.runtime.settings import Kafka
from services.runtime.topics import TOPICS
from services.stats.closing.close import close_days
from services.stats.closing.steps import Closer
from services.stats.days.states import Days, TenantDay
from services.stats.pseudonyms.keyring import Keyring
from services.stats.records import MIGRATIONS
from services.stats.store import create_tables

__all__ = ["Plane", "open_plane", "put_day", "tenant_name"]


@dataclass(frozen=True)
class Plane:
    analytics: Analytics
    records: sa.Engine
    log: EventLog
    keyring: Keyring
    days: Days

    def close_days(self, pairs: Sequence[TenantDay]) -> int:
        """How many were closed."""
        clock = SystemClock()
        closer = Closer(
            analytics=self.analytics,
            records=self.records,
            keys=self.keyring,
            log=self.log,
            objectors=lambda _tenant: [],
            draw_releases=lambda *_: None,
            draw_silent=lambda _through: None,
            clock=clock,
            wait=lambda: clock.sleep(0.1),
        )
        return len(close_days(closer, pairs))

    def end(self) -> None:
        self.analytics.close()
        self.log.close()
        self.records.dispose()


def open_plane(folder: Path) -> Plane:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = open_log(f"sqlite://{folder}/events.db", Kafka(), SystemClock())
    log.ensure_topics(list(TOPICS.values()))
    records = open_records(f"sqlite:///{folder}/statistics.db")
    upgrade(records, MIGRATIONS)
    days = Days(records)
    analytics = open_analytics(f"chdb://{folder}/analytics")
    create_tables(analytics)
    return Plane(analytics, records, log, Keyring(FileKeyService(folder / "keys"), days), days)


def tenant_name(number: int) -> str:
    return f"tenant-{number:04}"


def put_day(plane: Plane, day: date, tenants: int, events: int, *, largest: float = 0.0) -> list[TenantDay]:
    """`events` rows of `tenants` tenants: `largest` of them are the first one's, the others have about as many each.
    A visitor makes twelve. Returns the days, open, with their keys."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    plane.analytics.command(
        resources.files("bench").joinpath("sql/made_up_events.sql").read_text("utf-8"),
        {"day": day, "midnight": midnight, "tenants": tenants, "events": events, "largest": largest},
    )
    pairs = [TenantDay(tenant_name(number), day) for number in range(tenants)]
    plane.days.seen(pairs, midnight)
    for tenant, _ in pairs:
        plane.keyring.key(tenant, day)
    return pairs
