"""Look-up, grants, and one person's timeline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.enricher.console.look import Desk, actor_of
from services.enricher.decisions import PURPOSES
from services.enricher.grants import DAYS_SHOWN, MINUTES, Ask, Nobody, Refused, View
from services.enricher.timeline import Access, Revealed, Visit
from services.runtime.web.signin import Author, Viewer

__all__ = ["grants_router"]

PERIODS = (1, 7, 30, 90)  # days a viewer can choose from
TERMS = (15, 30, 60, 120, 240)  # minutes one can ask for
ERRORS_LISTED = 10  # at the top of a timeline; the rest stand in their visits
SHOWN = timedelta(seconds=60)  # how long a revealed field stays on a page that has scripts
TEXT_MAX = 2000

Days = Annotated[int, Query(ge=1, le=366)]
Text = Annotated[str, Form(max_length=TEXT_MAX)]
EMPTY = {
    "tenant": "",
    "by": "account",
    "value": "",
    "purpose": "support",
    "ticket": "",
    "reason": "",
    "minutes": MINUTES,
}


def grants_router(desk: Desk) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    def form(request: Request, session: Viewer, status: int = 200, **context: Any) -> Response:
        context = {"given": EMPTY, "advice": (), "trouble": ""} | context
        return desk.page(
            request,
            session,
            "look_up.html",
            status,
            section="look-up",
            tenants=desk.tenants(session),
            purposes=PURPOSES,
            terms=TERMS,
            **context,
        )

    def timeline(request: Request, session: Viewer, view: View, days: int) -> Response:
        return desk.page(
            request,
            session,
            "timeline.html",
            section="grants",
            view=view,
            by_day=_by_day(desk, view.visits),
            errors=_errors(view.visits),
            errors_listed=ERRORS_LISTED,
            periods=PERIODS,
            days=days,
            masked_again=desk.identity.clock.now() + SHOWN if view.revealed else None,
        )

    @router.get("/")
    def look_up(request: Request, session: Viewer) -> Response:
        return form(request, session)

    @router.post("/grants")
    def ask(
        *,
        request: Request,
        session: Author,
        tenant: Text,
        value: Text,
        purpose: Text,
        ticket: Text,
        reason: Text,
        by: Text = "account",
        minutes: Annotated[int, Form()] = MINUTES,
    ) -> Response:
        """A grant, or the form again with what to mend."""
        wanted = Ask(tenant, value, purpose, ticket, reason, by, minutes)
        given = {"tenant": tenant, "by": by, "value": value, "purpose": purpose, "ticket": ticket, "reason": reason}
        try:
            grant = desk.gate.ask(actor_of(session), wanted)
        except Refused as refused:
            return form(request, session, 403, given=given | {"minutes": minutes}, advice=refused.decision.advice)
        except Nobody as nobody:
            return form(request, session, 404, given=given | {"minutes": minutes}, trouble=str(nobody))
        return RedirectResponse(f"/grants/{grant.id}", 303)

    @router.get("/grants")
    def held(request: Request, session: Viewer) -> Response:
        grants = desk.gate.held(actor_of(session))
        return desk.page(request, session, "grants.html", section="grants", grants=grants)

    @router.get("/grants/{grant}")
    def show(request: Request, session: Viewer, grant: str, days: Days = DAYS_SHOWN) -> Response:
        return timeline(request, session, desk.gate.view(actor_of(session), grant, days), days)

    @router.post("/grants/{grant}/reveal")
    def reveal(
        *,
        request: Request,
        session: Author,
        grant: str,
        field: Text,
        reason: Text,
        visit: Annotated[int | None, Form()] = None,
        days: Annotated[int, Form(ge=1, le=366)] = DAYS_SHOWN,
    ) -> Response:
        """The timeline with one field in clear, this once: the next look masks it again."""
        what = [Revealed(field, visit)]
        return timeline(request, session, desk.gate.reveal(actor_of(session), grant, what, reason, days), days)

    @router.get("/grants/{grant}/reveal")
    def masked_again(grant: str) -> Response:
        return RedirectResponse(f"/grants/{grant}", 303)

    @router.get("/grants/{grant}/state")
    def state(session: Viewer, grant: str) -> Response:
        """An open page asks every few seconds, and is taken away when the grant is over."""
        runs = desk.gate.runs(actor_of(session), grant)
        return Response(status_code=204) if runs else Response(status_code=200, headers={"hx-refresh": "true"})

    @router.post("/grants/{grant}/end")
    def end(session: Author, grant: str) -> Response:
        desk.gate.end(actor_of(session), grant)
        return RedirectResponse("/grants", 303)

    return router


def _by_day(desk: Desk, visits: Sequence[Visit]) -> list[tuple[Visit, list[Visit]]]:
    """Visits of one day together, under their first."""
    days = [list(group) for _, group in groupby(visits, lambda visit: visit.start.astimezone(desk.zone).date())]
    return [(group[0], group) for group in days]


def _errors(visits: Sequence[Visit]) -> list[tuple[Visit, Access]]:
    """Newest first: what a support person came for."""
    return [(visit, access) for visit in visits for access in reversed(visit.accesses) if access.is_error]
