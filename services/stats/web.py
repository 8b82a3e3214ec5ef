"""The statistics service's web application: dashboard, query API, sign-in."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI

from services.runtime.clickhouse import Analytics, sql
from services.runtime.clock import Clock
from services.runtime.database import missing_records
from services.runtime.metrics import Metrics
from services.runtime.settings import Settings
from services.runtime.web.door import open_door
from services.runtime.web.languages import N_
from services.runtime.web.pages import Link
from services.runtime.web.quota import Quota
from services.runtime.web.shell import create_app
from services.stats.access.api_keys import ApiKeys
from services.stats.access.records import dashboard_sessions
from services.stats.access.roles import ADMIN
from services.stats.access.scope import Scope
from services.stats.closing.proposals import Proposals
from services.stats.collection.reports import Collection
from services.stats.dashboard.keys_routes import keys_router
from services.stats.dashboard.live import Block
from services.stats.dashboard.partner_routes import partner_router
from services.stats.dashboard.policies import Policies
from services.stats.dashboard.privacy_routes import privacy_router
from services.stats.dashboard.proposals_routes import proposals_router
from services.stats.dashboard.releases_routes import releases_router
from services.stats.dashboard.routes import Dashboard, dashboard_router
from services.stats.dashboard.sources_routes import collection_router
from services.stats.delivery.asking import REQUESTS_PER_HOUR, Delivery
from services.stats.delivery.downloads import Downloads
from services.stats.delivery.exports_api import exports_router
from services.stats.delivery.partners import PARTNER, Partners
from services.stats.delivery.publications import Publications
from services.stats.delivery.terms import TermsBook
from services.stats.description import describe
from services.stats.queries.answers import Queries
from services.stats.queries.api import QUERIES_PER_HOUR, Answerer, QueryService, asking, query_router
from services.stats.queries.sources_api import sources_router
from services.stats.store import SQL
from services.stats.today.live import LiveTotals

__all__ = ["statistics_app"]

_ASSETS = Path(__file__).parent / "dashboard" / "assets"


def statistics_app(
    *, settings: Settings, clock: Clock, engine: sa.Engine, analytics: Analytics, metrics: Metrics
) -> FastAPI:
    """`analytics` is a client of the application's own: it asks one thing at a time, in turn."""
    reading = _InTurn(analytics, Queries(analytics, clock, settings.zone))
    app = create_app(
        N_("Voile statistics"),
        metrics=metrics,
        ready=lambda: [*reading.missing(), *missing_records(engine)],
        hosts=settings.statistics.hosts,
        # Lax: addresses of pages are passed around, and whoever follows one is signed in already.
        door=open_door(
            "stats",
            "statistics",
            engine=engine,
            tables=dashboard_sessions,
            clock=clock,
            login=settings.login,
            same_site="lax",
        ),
        templates="services.stats.dashboard",
        navigation=[
            Link(N_("Overview"), "/", "overview", not_role=PARTNER),
            Link(N_("Quality"), "/quality", "quality", not_role=PARTNER),
            Link(N_("Events"), "/events", "events", not_role=PARTNER),
            Link(N_("Collection"), "/sources", "collection", not_role=PARTNER),
            Link(N_("Releases"), "/releases", "releases", not_role=PARTNER),
            Link(N_("Your releases"), "/partner", "partner", PARTNER),
            Link(N_("API keys"), "/keys", "keys", ADMIN),
            Link(N_("Routes"), "/routes", "routes", ADMIN),
        ],
        languages=("en", "fr"),
        assets=[_ASSETS],
    )
    dashboard = Dashboard(reading.for_one_page, reading.tenants, reading.now_of, LiveTotals(engine), settings, clock)
    app.include_router(dashboard_router(dashboard))
    app.include_router(privacy_router(Policies(engine, clock), settings))
    keys = ApiKeys(engine, clock)
    app.include_router(keys_router(keys, reading.tenants))
    quota = Quota(QUERIES_PER_HOUR, clock)
    programs = QueryService(reading.answer, reading.tenants, settings.timezone, keys, quota)
    app.include_router(query_router(programs))
    collection = Collection(engine)
    app.include_router(collection_router(collection, settings, clock))
    app.include_router(proposals_router(Proposals(engine), settings, clock))
    app.include_router(sources_router(collection, clock, asking(programs)))
    delivery = _delivery(engine, clock)
    app.include_router(exports_router(delivery))
    app.include_router(partner_router(delivery, engine))
    app.include_router(releases_router(delivery, engine, settings, clock))
    app.openapi = describe(app)  # type: ignore[method-assign]  # FastAPI's own way to change the document
    return app


def _delivery(engine: sa.Engine, clock: Clock) -> Delivery:
    return Delivery(
        partners=Partners(engine, clock),
        terms=TermsBook(engine, clock),
        publications=Publications(engine, clock),
        downloads=Downloads(engine, clock),
        quota=Quota(REQUESTS_PER_HOUR, clock),
    )


class _InTurn:
    """One store client shared by the server's threads."""

    def __init__(self, analytics: Analytics, queries: Queries) -> None:
        self._analytics, self._queries = analytics, queries
        self._lock = threading.Lock()

    def answer(self, request: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
        with self._lock:
            return self._queries.answer(request, scope)

    def for_one_page(self) -> Answerer:
        """`answer`, reading each cube and span once for all of a page's questions."""
        queries = self._queries.for_one_page()

        def answer(request: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
            with self._lock:
                return queries.answer(request, scope)

        return answer

    def tenants(self) -> Sequence[str]:
        with self._lock:
            found: list[str] = self._analytics.frame(sql(SQL, "select_tenants"))["tenant"].to_list()
        return found

    def now_of(self, tenant: str, since: date) -> Block | None:
        with self._lock:
            found = self._analytics.frame(sql(SQL, "select_now"), {"tenant": tenant, "since": since})
        return Block(datetime.fromisoformat(found["dim1"][0]), found["value"][0]) if found.height else None

    def missing(self) -> Sequence[str]:
        """For `/readyz`."""
        try:
            self.tenants()
        except Exception:  # whatever keeps the store from answering, the service is not ready
            return ("statistics store",)
        return ()
