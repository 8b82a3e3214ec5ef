"""The collection page's addresses: `/sources` and its rows as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.runtime.clock import Clock
from services.runtime.settings import Settings
from services.runtime.web.pages import pages_of
from services.runtime.web.signin import Viewer
from services.stats.access.roles import scope_of
from services.stats.collection.reports import Collection
from services.stats.collection.senders import Sender, senders
from services.stats.dashboard.sources import sources_page
from services.stats.queries.api import CSV_TYPE

__all__ = ["collection_router"]


def collection_router(collection: Collection, settings: Settings, clock: Clock) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/sources")
    def sources(request: Request, session: Viewer) -> Response:
        """A person sees the sources of their tenants; an operator, who may see every tenant, all."""
        tenants, now = scope_of(session).tenants, clock.now()
        found, gauges = senders(collection, tenants, now), collection.gauges()
        language = pages_of(request).language(request)
        page = sources_page(found, gauges, now, ZoneInfo(settings.timezone), language, operator=tenants is None)
        return pages_of(request).render(request, "sources.html", section="collection", page=page)

    @router.get("/sources/csv")
    def rows(session: Viewer) -> Response:
        found = senders(collection, scope_of(session).tenants, clock.now())
        headers = {"content-disposition": 'attachment; filename="sources.csv"'}
        return Response(_as_csv(found), headers=headers, media_type=CSV_TYPE)

    return router


def _as_csv(found: Sequence[Sender]) -> str:
    """One line for each outcome of a source. Names of sources and tenants begin with a letter or a digit: no
    spreadsheet takes one for a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(["source", "tenant", "outcome", "count"])
    for sender in found:
        outcomes = {"accepted": sender.accepted, "duplicates": sender.duplicates}
        outcomes |= {f"rejected:{reason}": count for reason, count in sender.rejected.items()}
        outcomes |= {f"refused:{code}": count for code, count in sender.refused.items()}
        writer.writerows([sender.name, sender.tenant, outcome, count] for outcome, count in outcomes.items())
    return buffer.getvalue()
