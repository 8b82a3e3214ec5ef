"""A statistics plane to close days in: real stores, keys and log, and rows put where the worker would put them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from services.runtime.clickhouse import Analytics, open_analytics
from services.runtime.clock import FixedClock
from services.runtime.database import open_records, upgrade
from services.runtime.keys import FileKeyService
from services.runtime.log import open_log
from services.runtime.log.interface import EventLog, Message
from services.runtime.settings import Kafka
from services.runtime.topics import TOPICS
from services.stats.closing.steps import Closer
from services.stats.days.states import Days, TenantDay
from services.stats.pseudonyms.keyring import Keyring
from services.stats.records import MIGRATIONS
from services.stats.store import create_tables
from services.stats.today.snapshot import Snapshotter

FIRST = date(2026, 11, 1)
START = datetime(2026, 11, 20, tzinfo=UTC)
PAGES = ("/", "/agenda/{id}", "/news", "/members/{id}/profile", "/shop", "/contact", "/legal")
COLUMNS: Mapping[str, Any] = {
    "kind": "event", "network": 1, "account": 0, "page_view": 1, "route": "/", "referrer_class": "direct",
    "referrer_domain": "", "country": "FR", "browser": "Firefox", "os": "Linux", "device": "desktop",
    "bot_class": "human", "bot_reason": "", "method": "GET", "status": 200, "event": "", "response_bytes": 1000,
    "duration_ms": 20, "late": 0, "utm_source": "", "utm_medium": "", "utm_campaign": "",
}  # fmt: skip
TYPES = {
    "visitor": pl.UInt64, "network": pl.UInt16, "account": pl.UInt64, "page_view": pl.UInt8, "status": pl.UInt16,
    "response_bytes": pl.UInt64, "late": pl.UInt8, "hour": pl.UInt8,
}  # fmt: skip


@dataclass
class World:
    """`objecting`: tenant -> accounts that objected. `released`: what the release hook was called with."""

    folder: Path
    analytics: Analytics
    closer: Closer
    clock: FixedClock
    log: EventLog
    keyring: Keyring
    objecting: dict[str, list[str]] = field(default_factory=dict)
    released: list[TenantDay] = field(default_factory=list)

    @property
    def days(self) -> Days:
        return self.closer.days

    @property
    def snapshotter(self) -> Snapshotter:
        return Snapshotter(self.analytics, self.days, self.keyring, self.closer.objectors, self.clock)

    def key(self, tenant: str, day: date) -> bytes:
        found = self.keyring.key(tenant, day)
        assert found is not None
        return found

    def put(self, events: pl.DataFrame) -> None:
        """Rows and their ledger row in one part a day, as the worker writes them; the days become known."""
        topic = TOPICS["access-log"].name
        for number, part in enumerate(events.partition_by("ingest_day")):
            ((partition, offset),) = self.log.send([Message(topic, b"source", str(number).encode())])
            ledger = {
                "kind": "ledger", "ingest_day": part["ingest_day"][0], "tenant": "", "event_day": part["ingest_day"][0],
                "topic_id": self.log.topic_id(topic), "log_partition": partition.number,
                "first_offset": offset, "last_offset": offset,
            }  # fmt: skip
            both = pl.concat([part, pl.DataFrame([ledger])], how="diagonal")
            self.analytics.insert("events", both)
        pairs = [TenantDay(t, d) for t, d in events.select("tenant", "event_day").unique().iter_rows()]
        self.days.seen(pairs, self.clock.now())
        for tenant, day in pairs:
            self.keyring.key(tenant, day)

    def cells(self, provisional: int = 0) -> pl.DataFrame:
        query = "SELECT * EXCEPT provisional FROM cells WHERE provisional = {p:UInt8} ORDER BY ALL"
        return self.analytics.frame(query, {"p": provisional})

    def close(self) -> None:
        self.analytics.close()
        self.log.close()
        self.closer.records.dispose()


def new_world(folder: Path, start: datetime = START) -> World:
    clock = FixedClock(start)
    log = open_log(f"sqlite://{folder}/events.db", Kafka(), clock)
    log.ensure_topics(list(TOPICS.values()))
    records = open_records(f"sqlite:///{folder}/records.db")
    upgrade(records, MIGRATIONS)
    keyring = Keyring(FileKeyService(folder / "keys"), Days(records))
    analytics = open_analytics(f"chdb://{folder}/analytics")
    create_tables(analytics)
    objecting: dict[str, list[str]] = {}
    released: list[TenantDay] = []
    closer = Closer(
        analytics=analytics,
        records=records,
        keys=keyring,
        log=log,
        objectors=lambda tenant: objecting.get(tenant, []),
        draw_releases=lambda pairs, _objected: released.extend(pairs),
        draw_silent=lambda _through: None,
        clock=clock,
        wait=lambda: clock.sleep(60),
    )
    return World(folder, analytics, closer, clock, log, keyring, objecting, released)


def with_closer(world: World, **changes: Any) -> Closer:
    return replace(world.closer, **changes)


def rows(tenant: str, day: date, people: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Event rows: one a mapping, with `visitor`, and `second` of the day; whatever is not said is `COLUMNS`."""
    midnight = datetime(day.year, day.month, day.day)
    made = []
    for given in people:
        said = dict(given)
        second = int(said.pop("second", 36_000))
        when = {"time": midnight + timedelta(seconds=second), "hour": second // 3600}
        made.append({**COLUMNS, "tenant": tenant, "event_day": day, "ingest_day": day, **when, **said})
    return pl.DataFrame(made, schema_overrides=TYPES)


def crowd(count: int, first: int = 1, **columns: Any) -> list[dict[str, Any]]:
    """`count` visitors on as many networks, one page view each."""
    return [{"visitor": n, "network": n % 65_536, **columns} for n in range(first, first + count)]


def random_day(tenant: str, day: date, count: int, seed: int) -> pl.DataFrame:
    """`count` rows of a small site: some pages popular, some people with accounts, some bots, some errors."""
    draw = np.random.default_rng(seed)
    people = max(1, count // 8)
    visitors = draw.integers(1, 2**62, people)
    of = draw.integers(0, people, count)
    status = draw.choice([200, 304, 404, 500], count, p=[0.88, 0.05, 0.05, 0.02])
    second = draw.integers(0, 86_400, count)
    bots = (draw.random(people) < 0.1)[of]
    referrer = draw.choice(["direct", "internal", "search"], count)
    midnight = datetime(day.year, day.month, day.day)
    return pl.DataFrame(
        {
            "kind": ["event"] * count,
            "ingest_day": [day] * count,
            "tenant": [tenant] * count,
            "event_day": [day] * count,
            "time": [midnight + timedelta(seconds=int(s)) for s in second],
            "hour": second // 3600,
            "visitor": visitors[of],
            "network": draw.integers(0, 65_536, people)[of],
            "account": np.where(draw.random(people) < 0.3, draw.integers(1, 2**62, people), 0)[of],
            "page_view": ((status < 400) & (draw.random(count) < 0.7)).astype(int),
            "route": draw.choice(PAGES, count, p=[0.5, 0.2, 0.15, 0.1, 0.03, 0.015, 0.005]),
            "referrer_class": referrer,
            "referrer_domain": np.where(referrer == "search", "search.example", ""),
            "country": draw.choice(["FR", "BE", "CH", "LU"], people, p=[0.8, 0.14, 0.05, 0.01])[of],
            "browser": draw.choice(["Firefox", "Chrome", "Safari"], people)[of],
            "os": draw.choice(["Linux", "Windows", "iOS"], people)[of],
            "device": draw.choice(["desktop", "mobile", "tablet"], people, p=[0.5, 0.45, 0.05])[of],
            "bot_class": np.where(bots, "declared", "human"),
            "bot_reason": np.where(bots, "crawler", ""),
            "method": draw.choice(["GET", "POST"], count, p=[0.95, 0.05]),
            "status": status,
            "event": np.where(draw.random(count) < 0.02, "booking", ""),
            "utm_source": (source := np.where(draw.random(count) < 0.2, draw.choice(["news", "poster"], count), "")),
            "utm_medium": np.where(source != "", draw.choice(["mail", ""], count), ""),
            "utm_campaign": np.where(source != "", draw.choice(["spring", "summer"], count), ""),
            "response_bytes": draw.integers(0, 50_000, count),
            "duration_ms": draw.integers(-1, 3000, count),
            "late": [0] * count,
        },
        schema_overrides=TYPES,
    )
