"""The real statistics pages on a real store filled with published cells."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import sqlalchemy as sa
from fastapi import FastAPI

from services.runtime.clickhouse import Analytics, open_analytics
from services.runtime.clock import FixedClock
from services.runtime.database import open_records, upgrade
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.web.server import serving
from services.runtime.web.sessions import EVERY_TENANT, Sessions
from services.stats.access.api_keys import ApiKeys
from services.stats.access.records import dashboard_sessions
from services.stats.collection.reports import Collection
from services.stats.dashboard.policies import Policies
from services.stats.dashboard.privacy import Facts, texts_of
from services.stats.records import MIGRATIONS
from services.stats.today.live import LiveTotals
from services.stats.web import statistics_app
from tests.parts.collecting import fill_collection
from tests.parts.figures import TODAY, fill_cells, live_cells

__all__ = ["Pages", "a_dashboard"]


@dataclass(frozen=True)
class Pages:
    """Running statistics pages. `ada` sees every tenant, `ben` the chess club alone."""

    port: int
    app: FastAPI
    sessions: Sessions
    keys: ApiKeys
    clock: FixedClock
    analytics: Analytics
    engine: sa.Engine

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def login(self, user: str) -> str:
        """A one-time link."""
        return f"{self.url}/login/{self.sessions.login_link(user)}"


def fill_policies(engine: sa.Engine, settings: Settings, clock: FixedClock) -> None:
    """What the privacy page says, and what it said before partners got figures."""
    Policies(engine, FixedClock(clock.now() - timedelta(days=40))).keep(texts_of(settings, Facts()))
    Policies(engine, clock).keep(texts_of(settings, Facts(releases=True, linked_days=(30, 60))))


@contextlib.contextmanager
def a_dashboard(folder: Path, *, filled: bool = True, records: str = "", served: str = "") -> Iterator[Pages]:
    """`records`: a URL of others than SQLite's, with their tables made; `served`: of the pages' own role in them."""
    clock = FixedClock(datetime.combine(TODAY, time(14, 20), UTC))
    settings = Settings(data=folder, timezone="Europe/Paris")
    engine = open_records(records or settings.url(settings.statistics.records))
    if not records:
        upgrade(engine, MIGRATIONS)
    serving_engine = open_records(served) if served else engine
    analytics = open_analytics(settings.url(settings.statistics.analytics))
    try:  # from here on: a store that stays open would fail every later test of this process
        fill_cells(analytics) if filled else fill_cells(analytics, tenants={})
        if filled:
            LiveTotals(engine).put(TODAY, live_cells({"riverside": 12_345}), ["riverside"])
            fill_policies(engine, settings, clock)
            fill_collection(Collection(engine), clock.now())
        sessions = Sessions(engine, dashboard_sessions, clock)
        sessions.put_user("ada", ["viewer"], [EVERY_TENANT])
        sessions.put_user("ben", ["viewer"], ["chess-club"])
        app = statistics_app(
            settings=settings, clock=clock, engine=serving_engine, analytics=analytics, metrics=Metrics()
        )
        with serving(app, "127.0.0.1:0") as (_, port):
            yield Pages(port, app, sessions, ApiKeys(engine, clock), clock, analytics, engine)
    finally:
        analytics.close()
        serving_engine.dispose()
        engine.dispose()
