"""The audit log for the data protection officer: search, export, proof, and what stands out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from services.enricher.access.deciding import Nobody
from services.enricher.access.decisions import EVERY_TENANT
from services.enricher.audit.export import FORMS, write
from services.enricher.audit.log import checkpoint_path
from services.enricher.audit.proof import Verdict, verify
from services.enricher.audit.reading import UNUSUAL_DAYS, Wanted
from services.enricher.audit.unusual import Limits
from services.enricher.console.look import Desk, actor_of
from services.enricher.console.words import ACTIONS, OUTCOMES
from services.runtime.web.signin import Author, Viewer
from services.runtime.web.zones import zone_of

__all__ = ["audit_router"]

ENTRIES_SHOWN = 100
ENTRIES_MAX = 2**63 - 1  # what the records can number
EQUAL = ("tenant", "actor", "action", "outcome", "ticket", "subject", "grant")
Word = Annotated[str, Field(max_length=200)]


class Filters(BaseModel):
    """The search form; `first` and `last` are days of the viewer's zone, `before` the entry a page begins under."""

    model_config = ConfigDict(frozen=True)

    tenant: Word = ""
    actor: Word = ""
    action: Word = ""
    outcome: Word = ""
    ticket: Word = ""
    subject: Word = ""
    grant: Word = ""
    first: Word = ""
    last: Word = ""
    before: Annotated[int, Field(ge=0, le=ENTRIES_MAX)] | None = None

    def wanted(self, zone: ZoneInfo) -> Wanted:
        """Raises `Nobody` on a day that is none."""
        equal = {name: value for name in EQUAL if (value := getattr(self, name))}
        after = timedelta(days=1)
        return Wanted(equal, _utc(self.first, zone), _utc(self.last, zone, after), self.before)

    @property
    def query(self) -> Mapping[str, str]:
        """What a link to the same search carries."""
        return {name: value for name in (*EQUAL, "first", "last") if (value := getattr(self, name))}


Asked = Annotated[Filters, Query()]


def audit_router(desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    def page(request: Request, session: Viewer, asked: Filters, *, prove: bool = False) -> Response:
        """Whoever may not read the log may not have it verified either: the gate comes first."""
        zone = zone_of(request, desk.identity.settings.zone)
        entries = desk.access.auditing.entries(actor_of(session), ENTRIES_SHOWN, asked.wanted(zone))
        return desk.page(
            request,
            session,
            "audit.html",
            section="audit",
            entries=entries,
            asked=asked,
            tenants=desk.tenants(session),
            actions=ACTIONS,
            outcomes=OUTCOMES,
            forms=FORMS,
            verdict=_proof(desk) if prove else None,
            limit=ENTRIES_SHOWN,
        )

    @router.get("/audit")
    def audit(request: Request, session: Viewer, asked: Asked) -> Response:
        return page(request, session, asked)

    @router.post("/audit/verify")
    def verify_log(request: Request, session: Author) -> Response:
        """Reads every entry again: seconds for a million."""
        return page(request, session, Filters(), prove=True)

    @router.get("/audit/export/{form}")
    def export(request: Request, session: Viewer, form: Literal["ndjson", "csv"], asked: Asked) -> Response:
        """Everything that fits, not only what the page shows; recorded before the first byte."""
        wanted = asked.wanted(zone_of(request, desk.identity.settings.zone))
        found = desk.access.auditing.export(actor_of(session), wanted, form)
        headers = {"content-disposition": f'attachment; filename="voile-audit.{form}"'}
        return StreamingResponse(write(found, form), media_type=FORMS[form], headers=headers)

    @router.get("/unusual")
    def unusual_access(request: Request, session: Viewer) -> Response:
        limits = Limits()
        found = desk.access.auditing.unusual(actor_of(session), desk.identity.settings.zone, _bound(desk), limits)
        return desk.page(
            request, session, "unusual.html", section="unusual", findings=found, days=UNUSUAL_DAYS, limits=limits
        )

    return router


def _bound(desk: Desk) -> Mapping[str, list[str]]:
    """Staff that see some tenants only."""
    users = desk.access.sessions.users()
    return {user.name: sorted(user.tenants) for user in users if EVERY_TENANT not in user.tenants}


def _utc(day: str, zone: ZoneInfo, later: timedelta = timedelta()) -> str:
    """The start of `day` in `zone`, `later`, as the log writes times; empty stays empty."""
    if not day:
        return ""
    try:
        start = datetime.combine(date.fromisoformat(day) + later, time(), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Nobody("Give a day as 2026-03-31.") from None
    return start.isoformat(timespec="milliseconds")


def _proof(desk: Desk) -> Verdict:
    identity = desk.identity
    return verify(identity.engine, identity.keys, checkpoint_path(identity.settings.data.absolute()))
